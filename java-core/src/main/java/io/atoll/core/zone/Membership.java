package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Who belongs to an upstream, from what nginx.conf names and what was changed at run time. nginx.conf decides who is a server
 * of its own; a change stands until it is taken back, or until nginx.conf no longer fits it ({@link #isSpent}).
 */
public final class Membership {
    private static final int CHANGES = PeerFlag.REMOVED | PeerFlag.ADDED | PeerFlag.WEIGHTED;

    private Membership() {}

    /**
     * The members as they should be.
     *
     * @param present members of a zone, those that were removed at run time included
     * @param changes those that stand, one for a server
     */
    public static List<Member> apply(List<Member> present, Collection<MemberChange> changes) {
        return apply(present, changes, Map.of());
    }

    /**
     * The members as they should be, where names stand for other addresses now than when nginx.conf was loaded or a server was
     * added. Points stay, since they hang on the name; an address that stays keeps its slot and words.
     *
     * @param resolved what names stand for, by server; one or more addresses each. A server that an upstream lists more than
     *     once with one address is left as it is
     */
    public static List<Member> apply(List<Member> present, Collection<MemberChange> changes,
            Map<String, List<MemberChange.Address>> resolved) {
        List<MemberChange> now = new ArrayList<>();
        for (MemberChange change : changes) {
            List<MemberChange.Address> addresses = resolved.get(change.server());
            now.add(addresses == null || change.kind() != MemberChange.Kind.ADDED ? change : change.withAddresses(addresses));
        }
        return changed(moved(present, resolved), now);
    }

    /** Servers of nginx.conf at the addresses that their names stand for now. */
    private static List<Member> moved(List<Member> present, Map<String, List<MemberChange.Address>> resolved) {
        Set<String> fixed = new HashSet<>();
        present.stream().filter(member -> member.ordinal() != 0).forEach(member -> fixed.add(member.server()));
        Map<String, Member> first = new LinkedHashMap<>();
        Set<String> known = new HashSet<>();
        List<Member> moved = new ArrayList<>();
        for (Member member : present) {
            List<MemberChange.Address> addresses = resolved.get(member.server());
            if (!member.isDeclared() || addresses == null || fixed.contains(member.server())) {
                moved.add(member);
                continue;
            }
            first.putIfAbsent(member.server(), member);
            if (addresses.stream().anyMatch(address -> address.text().equals(member.address()))) {
                known.add(member.server() + '\0' + member.address());
                moved.add(member);
            }
        }
        first.forEach((server, like) -> {
            for (MemberChange.Address address : resolved.get(server)) {
                if (known.add(server + '\0' + address.text())) {
                    moved.add(like.at(address));
                }
            }
        });
        return moved;
    }

    private static List<Member> changed(List<Member> present, Collection<MemberChange> changes) {
        Map<String, MemberChange> byServer = new HashMap<>();
        changes.forEach(change -> byServer.put(change.server(), change));
        Set<String> declared = declared(present);
        List<Member> wanted = new ArrayList<>();
        Set<String> kept = new HashSet<>();
        for (Member member : present) {
            MemberChange change = byServer.get(member.server());
            if (member.isDeclared()) {
                wanted.add(declared(member, change));
            } else if (!declared.contains(member.server()) && isStill(member, change)) {
                kept.add(member.server() + '\0' + member.address());
                wanted.add(added(change, member.address(), member.socketAddress()));
            }
        }
        for (MemberChange change : changes) {
            if (change.kind() == MemberChange.Kind.ADDED && !declared.contains(change.server())) {
                for (MemberChange.Address address : change.addresses()) {
                    if (kept.add(change.server() + '\0' + address.text())) {
                        wanted.add(added(change, address.text(), address.socketAddress()));
                    }
                }
            }
        }
        return wanted;
    }

    private static Member declared(Member member, MemberChange change) {
        int flags = member.flags() & ~CHANGES;
        if (change != null && change.kind() == MemberChange.Kind.REMOVED) {
            return member.with(member.confWeight(), flags | PeerFlag.REMOVED);
        }
        if (change != null && change.kind() == MemberChange.Kind.WEIGHTED) {
            return member.with(change.weight(), flags | PeerFlag.WEIGHTED);
        }
        return member.with(member.confWeight(), flags);
    }

    private static boolean isStill(Member member, MemberChange change) {
        return change != null && change.kind() == MemberChange.Kind.ADDED
                && change.addresses().stream().anyMatch(address -> address.text().equals(member.address()));
    }

    private static Member added(MemberChange change, String address, java.net.SocketAddress socketAddress) {
        return new Member(change.server(), address, 0, socketAddress, change.weight(), 0, change.maxConns(), change.maxFails(),
                change.failTimeoutMs(), PeerFlag.ADDED | (change.backup() ? PeerFlag.BACKUP : 0));
    }

    /**
     * Whether a change has lost its object: a server that was added is now nginx.conf's own, or one that was removed or
     * re-weighted is not named there any more.
     *
     * @param declared see {@link #declared}
     */
    public static boolean isSpent(Set<String> declared, MemberChange change) {
        return declared.contains(change.server()) == (change.kind() == MemberChange.Kind.ADDED);
    }

    /** The servers that nginx.conf names. */
    public static Set<String> declared(List<Member> present) {
        Set<String> declared = new HashSet<>();
        present.stream().filter(Member::isDeclared).forEach(member -> declared.add(member.server()));
        return declared;
    }

    /** Whether a primary server is left that is not removed: if none is, those that are removed stay in (TableCompiler). */
    public static boolean leavesPrimary(List<Member> members) {
        return members.stream().anyMatch(member -> !member.isRemoved() && !member.isBackup());
    }

    /** The members that are in the upstream's table. */
    public static List<Member> inTable(List<Member> members) {
        return leavesPrimary(members) ? members.stream().filter(member -> !member.isRemoved()).toList() : members;
    }
}
