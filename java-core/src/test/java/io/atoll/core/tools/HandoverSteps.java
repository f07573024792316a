package io.atoll.core.tools;

import io.atoll.core.lookup.ArrayWords;
import io.atoll.core.lookup.PreviousOwners;
import io.atoll.core.lookup.PreviousOwners.Answer;
import io.atoll.core.lookup.Walk;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.Table;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/**
 * The part of a {@link WalkStream} that is about handover: random rings from before, and who is asked for keys while peers come,
 * go, fail, are withdrawn and return.
 */
final class HandoverSteps {
    /** Peers that only former rings have, at most. */
    static final int MOST_FORMER = 5;

    private static final int CHANGED = 7;
    private static final int STARTED = 8;
    private static final int AVOID = 9;
    private static final int ASK = 7;
    private static final int GONE = 8;
    private static final int RETURNED_BIT = 32;
    private static final int FRESH_BIT = 33;
    private static final int RULE_SHIFT = 40;
    private static final int[] HANDOVERS = {0, 600, 5000, 5000};

    private final Random random;
    private final List<Peer> peers;
    private final List<Integer> slots = new ArrayList<>();
    private final int handoverMs;
    private int slotCount;

    private WalkStream stream;
    private Table table;
    private ArrayWords words;
    private PreviousOwners owners;
    private long now;
    private long startedMs;

    /** Former rings behind the peers of an upstream: most of its primaries, some otherwise than now, and some that are gone. */
    HandoverSteps(Random random, List<Peer> present) {
        this.random = random;
        handoverMs = HANDOVERS[random.nextInt(HANDOVERS.length)];
        peers = new ArrayList<>(present);
        slotCount = present.size();
        for (int slot = 0; slot < slotCount; slot++) {
            slots.add(slot);
        }
        if (random.nextInt(4) != 0) {
            addRing(PeerFlag.PREVIOUS, 3);
            if (random.nextInt(3) != 0) {
                addRing(PeerFlag.EARLIER, 2);
            }
        }
    }

    private void addRing(int ring, int mostNew) {
        int known = slotCount;
        for (int slot = 0; slot < known; slot++) {
            Peer peer = peers.get(slots.indexOf(slot));
            if ((peer.flags() & PeerFlag.BACKUP) == 0 && random.nextInt(4) != 0) {
                add(peer.server(), ring, slot);
            }
        }
        int gone = 1 + random.nextInt(mostNew);
        for (int i = 0; i < gone; i++) {
            boolean again = i > 0 && random.nextInt(4) == 0;
            add(again ? peers.get(peers.size() - 1).server() : "gone" + slotCount, ring, slotCount++);
        }
    }

    private void add(String server, int ring, int slot) {
        int down = random.nextInt(8) == 0 ? PeerFlag.DOWN : 0;
        peers.add(new Peer(server, 1 + random.nextInt(2), 0, 1, 10_000, ring | down));
        slots.add(slot);
    }

    /** The peers of all rings. */
    List<Peer> peers() {
        return peers;
    }

    /** Slot of each. */
    int[] slots() {
        return slots.stream().mapToInt(Integer::intValue).toArray();
    }

    /** Peers that have a slot. */
    int slotCount() {
        return slotCount;
    }

    int handoverMs() {
        return handoverMs;
    }

    /** Whether there is a ring from before. */
    boolean isOpen() {
        return (peers.get(peers.size() - 1).flags() & (PeerFlag.PREVIOUS | PeerFlag.EARLIER)) != 0;
    }

    /** Records questions, half of them, where there is a ring from before, until it does not count any more. */
    void play(WalkStream to, Table ofTable, ArrayWords ofWords, long nowMs, int steps) {
        stream = to;
        table = ofTable;
        words = ofWords;
        owners = new PreviousOwners(table, words, slot -> peers.get(slots.indexOf(slot)).server(), handoverMs);
        now = isOpen() ? Math.max(nowMs, table.handoverUntilMs() - 2L * steps) : nowMs;
        for (int i = 0; i < steps; i++) {
            now += random.nextInt(9);
            switch (random.nextInt(24)) {
                case 0, 1, 2 -> change();
                case 3, 4 -> setReason();
                case 5 -> avoid();
                case 6 -> start();
                default -> ask();
            }
            if (random.nextInt(200) == 0) {
                leave();
            }
        }
    }

    private void ask() {
        int hash = random.nextInt();
        int point = table.find(hash);
        int owner = table.slot(table.groupFirstPeer(table.pointGroup(ZoneLayout.Ring.PRIMARY, point)));
        int self = random.nextInt(3) != 0 ? owner : random.nextInt(slotCount + 1) - 1;
        boolean returned = random.nextInt(8) == 0;
        Optional<Answer> answer = ask(0, hash, self, returned, Walk.NONE, false);
        if (answer.isPresent() && random.nextBoolean()) {
            ask(1, hash, self, returned, answer.get().peer(), random.nextBoolean());
        }
    }

    /** self: a slot; -1 for a node that the upstream has not. */
    private Optional<Answer> ask(int again, int hash, int self, boolean returned, int asked, boolean fresh) {
        String name = self < 0 ? "" : peers.get(slots.indexOf(self)).server();
        Optional<Answer> answer = owners.previousOwner(hash, now, startedMs, name, returned, asked, fresh);
        long rule = answer.map(named -> 1L + named.rule().ordinal()).orElse(0L);
        put(ASK, again, hash, answer.map(named -> table.slot(named.peer())).orElse(-1),
                Integer.toUnsignedLong(self) | (returned ? 1L << RETURNED_BIT : 0) | (fresh ? 1L << FRESH_BIT : 0) | rule << RULE_SHIFT);
        return answer;
    }

    private void change() {
        int slot = random.nextInt(slotCount);
        long admin = random.nextBoolean() ? ZoneLayout.FOREVER : 0;
        long changed = moment();
        words.setReason(slot, Reason.ADMIN, admin);
        words.setChangedMs(slot, changed);
        put(WalkStream.SET, 0, Reason.ADMIN.ordinal(), slot, admin);
        put(WalkStream.SET, 0, CHANGED, slot, changed);
    }

    private void setReason() {
        int slot = random.nextInt(slotCount);
        Reason reason = Reason.values()[random.nextInt(Reason.values().length)];
        long until = random.nextInt(3) == 0 ? now + random.nextInt(300) : 0;
        words.setReason(slot, reason, until);
        put(WalkStream.SET, 0, reason.ordinal(), slot, until);
    }

    private void avoid() {
        int slot = random.nextInt(slotCount);
        long until = now + (random.nextInt(8) == 0 ? ZoneLayout.AVOID_LIMIT_MS - 100 : 0) + random.nextInt(200);
        words.setAvoidUntilMs(slot, until);
        put(WalkStream.SET, 0, AVOID, slot, until);
    }

    private void start() {
        startedMs = moment();
        put(WalkStream.SET, 0, STARTED, 0, startedMs);
    }

    /** The slot goes to another peer. */
    private void leave() {
        int slot = random.nextInt(slotCount);
        words.setIncarnation(slot, words.incarnation(slot) + 1);
        put(GONE, 0, 0, slot, words.incarnation(slot));
    }

    /** Lately, just not lately any more, ahead, or never. */
    private long moment() {
        return switch (random.nextInt(6)) {
            case 0 -> 0;
            case 1 -> now + random.nextInt(20);
            case 2 -> now - handoverMs + random.nextInt(3) - 1;
            default -> now - random.nextInt(2 * handoverMs + 1);
        };
    }

    private void put(int kind, int request, int argument, int slot, long value) {
        stream.put(kind, request, argument, slot, now, value);
    }
}
