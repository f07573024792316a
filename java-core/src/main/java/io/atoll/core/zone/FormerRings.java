package io.atoll.core.zone;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.Handover;
import java.util.List;

/**
 * Who owns the keys of an upstream, and who did before, as one node has it: what another one that has just come has to know to
 * ask the right peers. Times are what is left of them, since the clocks of two hosts have nothing in common.
 *
 * @param primary servers of the primary ring, in the order in which they were compiled
 * @param previous of the previous ring; empty for none, or when its time is over
 * @param earlier of the earlier ring; empty for none
 * @param remainingMs for how long these count, 0 to {@link Handover#LIMIT_MS}
 */
public record FormerRings(List<Server> primary, List<Server> previous, List<Server> earlier, long remainingMs) {
    /**
     * One address of a server of a ring.
     *
     * @param flags {@code PeerFlag.DOWN}, and {@code MAGLEV} for all of a ring of that method
     */
    public record Server(String name, MemberChange.Address address, int weight, int flags) {
        CompileRequest.Peer peer() {
            return new CompileRequest.Peer(name, weight).withFlags(flags);
        }

        Member member() {
            return new Member(name, address.text(), 0, address.socketAddress(), weight, 0, 0, 1, 10_000, 0);
        }
    }

    /** Copies of the lists. */
    public FormerRings {
        primary = List.copyOf(primary);
        previous = List.copyOf(previous);
        earlier = List.copyOf(earlier);
    }

    static List<CompileRequest.Peer> peers(List<Server> ring) {
        return ring.stream().map(Server::peer).toList();
    }

    /** What a table of some members gets when these are taken for the table before it. */
    Handover.Previous after(List<CompileRequest.Peer> wanted, long nowMs, long handoverMs) {
        return Handover.after(peers(primary), new Handover.Previous(peers(previous), peers(earlier), nowMs + remainingMs), wanted,
                nowMs, handoverMs);
    }

    /** The ring with these peers. */
    List<Server> ring(List<CompileRequest.Peer> peers) {
        for (List<Server> ring : List.of(primary, previous, earlier)) {
            if (peers(ring).equals(peers)) {
                return ring;
            }
        }
        return List.of();
    }
}
