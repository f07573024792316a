package io.atoll.core.lookup;

import io.atoll.core.table.Table;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.Ring;
import java.util.Optional;
import java.util.function.IntFunction;

/**
 * Who may still hold a key that a node acts as owner of and lacks, for a while after a change of members:
 * docs/architecture.md, "Handover, exactly". Peers are indices of the table. Times are CLOCK_MONOTONIC milliseconds, unsigned.
 *
 * <p>Not thread-safe. An answer looks at 32 points at most. Twin: {@code atoll_previous_owner} in
 * nginx-module/reader/atoll_handover.c, in the order of its functions.
 */
public final class PreviousOwners {
    /** Looked at for one answer, over all rings. */
    private static final int POINTS = 32;

    /** Why somebody is asked. In this order the first that applies and can be asked. */
    public enum Rule {
        /** Owned the key in the ring before the last change. */
        PREVIOUS_RING,
        /** Owned it in the ring before the first of several changes. */
        EARLIER_RING,
        /** Owns it, and was just taken out of traffic by an operator. */
        WITHDRAWN,
        /** Comes next along the ring that the node has just come to, or come back to, and stood in for it. */
        STOOD_IN,
        /** Likewise, but all that is known is that the node's nginx was just started, as a whole mesh may be. */
        STARTED
    }

    /**
     * Who is asked.
     *
     * @param peer index in the table
     */
    public record Answer(int peer, Rule rule) {}

    private final Table table;
    private final PeerWords words;
    private final long handoverMs;
    private final String[] servers;
    private final long[] incarnations;

    /**
     * Over a table and the peers that its slots are now.
     *
     * @param servers name of the peer that has a slot; asked here only, once for each peer of all rings
     * @param handoverMs {@code atoll_handover}, 0 off
     */
    public PreviousOwners(Table table, PeerWords words, IntFunction<String> servers, long handoverMs) {
        this.table = table;
        this.words = words;
        this.handoverMs = handoverMs;
        int peers = table.peerCount() + table.ringPeers(Ring.PREVIOUS) + table.ringPeers(Ring.EARLIER);
        this.servers = new String[peers];
        incarnations = new long[peers];
        for (int peer = 0; peer < peers; peer++) {
            this.servers[peer] = servers.apply(table.slot(peer));
            incarnations[peer] = words.incarnation(table.slot(peer));
        }
    }

    /**
     * The peer that may hold a copy of a key.
     *
     * @param hash CRC-32 of the key
     * @param nowMs CLOCK_MONOTONIC
     * @param startedMs when this node's nginx was started, 0 not known
     * @param self this node's server name in the upstream
     * @param returned whether the caller knows that this node has just come back to traffic
     * @param asked the answer to the same question before, by index in the table, which has no copy: then only the earlier
     *     ring counts; {@link Walk#NONE} for the first question
     * @param fresh whether that one said that its nginx was just started: then all but the previous ring counts
     * @return nothing when nobody is to be asked
     */
    public Optional<Answer> previousOwner(int hash, long nowMs, long startedMs, String self, boolean returned, int asked,
            boolean fresh) {
        return handoverMs == 0 ? Optional.empty()
                : Optional.ofNullable(new Question(hash, nowMs, startedMs, self, returned, asked, fresh).answer());
    }

    private interface Fits {
        boolean test(int peer);
    }

    /** One question. */
    private final class Question {
        private final int hash;
        private final long now;
        private final long startedMs;
        private final String self;
        private final boolean returned;
        private final int asked;
        private final boolean fresh;
        private int points = POINTS;

        Question(int hash, long now, long startedMs, String self, boolean returned, int asked, boolean fresh) {
            this.hash = hash;
            this.now = now;
            this.startedMs = startedMs;
            this.self = self;
            this.returned = returned;
            this.asked = asked;
            this.fresh = fresh;
        }

        Answer answer() {
            Answer answer = null;
            if (Long.compareUnsigned(now, table.handoverUntilMs()) < 0) {
                answer = asked == Walk.NONE ? formerOwner(Ring.PREVIOUS, Rule.PREVIOUS_RING) : null;
                answer = answer == null ? formerOwner(Ring.EARLIER, Rule.EARLIER_RING) : answer;
            }
            return answer == null && (asked == Walk.NONE || fresh) ? presentRingOwner() : answer;
        }

        private Answer formerOwner(int ring, Rule rule) {
            Look look = new Look(this, ring);
            while (look.nextGroup()) {
                if (!look.isDown()) {
                    return look.isSelf() ? null : answer(whomToAsk(look, peer -> true), rule);
                }
            }
            return null;
        }

        private Answer presentRingOwner() {
            Look look = new Look(this, Ring.PRIMARY);
            if (!look.nextGroup()) {
                return null;
            }
            if (!look.isSelf()) {
                return answer(whomToAsk(look, this::wasJustWithdrawn), Rule.WITHDRAWN);
            }
            long came = returned ? ZoneLayout.FOREVER : changedMs(look);
            Rule rule = came != 0 ? Rule.STOOD_IN : Rule.STARTED;
            if (isRecent(startedMs) && Long.compareUnsigned(came, startedMs) < 0) {
                came = startedMs;
            }
            return came != 0 ? answer(nextAlong(ringItCameTo(came)), rule) : null;
        }

        private static Answer answer(int peer, Rule rule) {
            return peer == Walk.NONE ? null : new Answer(peer, rule);
        }

        private int nextAlong(int ring) {
            Look look = new Look(this, ring);
            int peer = Walk.NONE;
            while (peer == Walk.NONE && look.nextGroup()) {
                peer = whomToAsk(look, this::wasServing);
            }
            return peer;
        }

        /** What joined or left after self may neither have stood in for it, nor have taken the place of who did. */
        private int ringItCameTo(long cameMs) {
            long untilMs = table.handoverUntilMs();
            long sinceMs = Long.compareUnsigned(untilMs, handoverMs) > 0 ? untilMs - handoverMs : 0;
            if (Long.compareUnsigned(now, untilMs) >= 0 || Long.compareUnsigned(cameMs, sinceMs) >= 0) {
                return Ring.PRIMARY;
            }
            return table.pointCount(Ring.EARLIER) != 0 ? Ring.EARLIER : Ring.PREVIOUS;
        }

        /** When self, whose group this is, was last taken back to traffic; 0: not a short while ago. */
        private long changedMs(Look look) {
            long last = 0;
            for (int peer = look.first; peer < look.first + look.count; peer++) {
                long ms = words.changedMs(table.slot(peer));
                if (isRecent(ms) && isPresent(peer) && Long.compareUnsigned(ms, last) > 0) {
                    last = ms;
                }
            }
            return last;
        }

        private int whomToAsk(Look look, Fits fits) {
            for (int peer = look.first; peer < look.first + look.count; peer++) {
                if (canBeAsked(peer) && fits.test(peer)) {
                    return peer;
                }
            }
            return Walk.NONE;
        }

        private boolean canBeAsked(int peer) {
            return !servers[peer].equals(self) && !(asked != Walk.NONE && servers[peer].equals(servers[asked]))
                    && !isAvoided(peer)
                    && !stands(peer, Reason.PROBE) && !stands(peer, Reason.QUORUM) && !stands(peer, Reason.PASSIVE)
                    && isPresent(peer);
        }

        /** A word that is too far ahead was written by nobody. */
        private boolean isAvoided(int peer) {
            long until = words.avoidUntilMs(table.slot(peer));
            return isAfterNow(until) && Long.compareUnsigned(until - now, ZoneLayout.AVOID_LIMIT_MS) <= 0;
        }

        private boolean wasJustWithdrawn(int peer) {
            return isWithdrawn(peer) && isRecent(words.changedMs(table.slot(peer)));
        }

        private boolean wasServing(int peer) {
            return !isWithdrawn(peer) || wasJustWithdrawn(peer);
        }

        /** Out of traffic by nginx.conf or an operator. */
        private boolean isWithdrawn(int peer) {
            return (table.flags(peer) & PeerFlag.DOWN) != 0 || stands(peer, Reason.ADMIN);
        }

        private boolean stands(int peer, Reason reason) {
            return isAfterNow(words.reason(table.slot(peer), reason));
        }

        private boolean isAfterNow(long ms) {
            return Long.compareUnsigned(ms, now) > 0;
        }

        /** Less than a handover ago, or ahead by less. 0 is never. */
        private boolean isRecent(long ms) {
            long distance = isAfterNow(ms) ? ms - now : now - ms;
            return ms != 0 && Long.compareUnsigned(distance, handoverMs) < 0;
        }

        private boolean isPresent(int peer) {
            return words.incarnation(table.slot(peer)) == incarnations[peer];
        }
    }

    /** Along a ring from the first point with a hash no smaller than the key's, group by group. */
    private final class Look {
        private final Question question;
        private final int ring;
        private int point;
        private int group = -1;
        private int first;
        private int count;

        Look(Question question, int ring) {
            this.question = question;
            this.ring = ring;
            point = table.find(ring, question.hash);
        }

        /** To the next point that is of another group than before; false when no points are left to look at. */
        boolean nextGroup() {
            int points = table.pointCount(ring);
            while (points != 0 && question.points != 0) {
                question.points--;
                int found = table.pointGroup(ring, point);
                point = point + 1 < points ? point + 1 : 0;
                if (found != group) {
                    group = found;
                    first = table.groupFirstPeer(group);
                    count = table.groupPeers(group);
                    return true;
                }
            }
            return false;
        }

        /** As the table has it: a peer of the previous ring may have been down there and be up now. */
        boolean isDown() {
            for (int peer = first; peer < first + count; peer++) {
                if ((table.flags(peer) & PeerFlag.DOWN) == 0) {
                    return false;
                }
            }
            return true;
        }

        boolean isSelf() {
            return servers[first].equals(question.self);
        }
    }
}
