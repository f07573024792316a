package io.atoll.core.tools;

import io.atoll.core.lookup.ArrayWords;
import io.atoll.core.lookup.Balancer;
import io.atoll.core.lookup.Walk;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.table.Table;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/**
 * Random zones with what happens to requests in them by the Java walk, then with whom a node asks for keys that it lacks, as a
 * stream that another implementation plays again and compares. Most tables hold rings from before, which no walk may touch.
 *
 * <pre>
 *   java -cp target/classes:target/test-classes io.atoll.core.tools.WalkStream SEED ZONES OPERATIONS | comparer
 *
 *   stream    = record, ZONES times; little-endian
 *   record    = u32 zone_length  u32 operation_count  zone[zone_length]  operation[operation_count]
 *   operation = u32 kind  u32 request  u32 argument  u32 slot  u64 now_ms  u64 value
 * </pre>
 *
 * <p>The zone has one upstream, index 0, with a published table, and rows that nobody owns; play it as the worker of row 0, beside
 * one of row 1, with config_epoch 1. {@code request} is one of {@value #REQUESTS} walks. The kinds:
 *
 * <pre>
 *   0 BEGIN    the walk starts anew, with the key hash {@code argument}
 *   1 KEYLESS  the walk starts anew, without a key
 *   2 PICK     must give {@code slot}, 0xffffffff for none
 *   3 DONE     reports its peer, if it has one: {@code argument} 1 failed, 0 well
 *   4 SET      stores {@code value} in a word of {@code slot}: {@code argument} 0-3 that reason, 4 ramp_start_ms
 *   5 IS       a word of {@code slot} must be {@code value}: {@code argument} as above, 5 fails, 6 requests in flight
 *   6 OTHERS   the worker of row 1 has {@code value} requests at {@code slot} now
 *   7 ASK      the previous owner of the key hash {@code argument} must have {@code slot}, 0xffffffff for nobody; {@code request}
 *              0 for the first question, 1 after the answer to the one before. {@code value}: bits 0-31 a slot whose server
 *              name is that of the node that asks, 0xffffffff for none of the upstream; bit 32 it knows that it has returned,
 *              bit 33 that the one who was asked before was just started;
 *              from bit 40 the rule of the answer ({@code PreviousOwners.Rule}, from 1), 0 for nobody
 *   8 GONE     {@code slot} goes to another peer, the incarnation is {@code value}, its words are 0
 * </pre>
 *
 * <p>SET also has 7 changed_ms, 8 started_ms of the header, 9 avoid_until_ms. After the first ASK there
 * are no more walks.
 *
 * <p>A walk that is begun anew reports its peer first. The same seed gives the same stream.
 */
public final class WalkStream {
    /** Requests under way at the same time. */
    public static final int REQUESTS = 4;

    private static final int BEGIN = 0;
    private static final int KEYLESS = 1;
    private static final int PICK = 2;
    private static final int DONE = 3;
    static final int SET = 4;
    private static final int IS = 5;
    private static final int OTHERS = 6;
    private static final int RAMP = 4;
    private static final int FAILS = 5;
    private static final int INFLIGHT = 6;
    private static final int OPERATION_SIZE = 32;
    private static final int MOST_PEERS = 8;
    private static final int SLOTS = MOST_PEERS + HandoverSteps.MOST_FORMER;
    private static final int BUFFER = 256 * 1024;
    private static final int LONGEST_STEP_MS = 300;
    private static final int[] SLOW_STARTS = {0, 200, 5000};
    private static final int[] PANICS = {0, 50, 100};
    private static final int[] BOUNDS = {0, 101, 125, 200};

    private final Random random;
    private final ZoneImage image = new ZoneImage(1, SLOTS, BUFFER);
    private final ByteBuffer operations;
    private final Table table;
    private final Balancer balancer;
    private final ArrayWords words = new ArrayWords(SLOTS);
    private final Walk[] walks = new Walk[REQUESTS];
    private final int[] others = new int[MOST_PEERS];
    private long now = 1_000_000;

    /** Arguments: seed, zones, operations for each zone. */
    public static void main(String[] args) throws IOException {
        if (args.length != 3) {
            System.err.println("usage: WalkStream SEED ZONES OPERATIONS");
            System.exit(2);
        }
        RandomUpstreams upstreams = new RandomUpstreams(Long.parseLong(args[0]));
        try (OutputStream out = new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16)) {
            for (int i = 0; i < Integer.parseInt(args[1]); i++) {
                new WalkStream(upstreams, Integer.parseInt(args[2])).write(out);
            }
        }
    }

    private WalkStream(RandomUpstreams upstreams, int steps) {
        random = upstreams.random();
        Upstream upstream = upstreams.next(MOST_PEERS);
        HandoverSteps handover = new HandoverSteps(random, upstream.peers());
        image.publish(0, upstream.name(), handover.peers(), handover.slots(),
                handover.isOpen() ? now + LONGEST_STEP_MS * (long) steps : 0);
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.HANDOVER_MS, handover.handoverMs());
        int slowStart = SLOW_STARTS[random.nextInt(SLOW_STARTS.length)];
        int panic = PANICS[random.nextInt(PANICS.length)];
        int bound = BOUNDS[random.nextInt(BOUNDS.length)];
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.SLOW_START_MS, slowStart);
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.BOUND_PERCENT, bound);
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.PANIC_PERCENT, panic);
        table = Zone.attach(image.bytes()).table(0).table();
        for (int slot = 0; slot < handover.slotCount(); slot++) {
            words.setIncarnation(slot, 1);
        }
        balancer = new Balancer(table, words, slowStart, panic, bound);
        // Each step makes at most two operations, three of handover; at the end of the walks every word is looked at.
        operations = ByteBuffer.allocate((2 * steps + 3 * (steps / 2) + 2 * REQUESTS + 7 * MOST_PEERS) * OPERATION_SIZE)
                .order(ByteOrder.LITTLE_ENDIAN);
        for (int request = 0; request < REQUESTS; request++) {
            begin(request);
        }
        for (int i = 0; i < steps; i++) {
            step();
        }
        lookAtEveryWord();
        handover.play(this, table, words, now, steps / 2);
    }

    private void write(OutputStream out) throws IOException {
        byte[] zone = new byte[image.bytes().capacity()];
        image.bytes().get(0, zone);
        ByteBuffer head = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        out.write(head.putInt(zone.length).putInt(operations.position() / OPERATION_SIZE).array());
        out.write(zone);
        out.write(operations.array(), 0, operations.position());
    }

    private void put(int kind, int request, int argument, int slot, long value) {
        put(kind, request, argument, slot, now, value);
    }

    void put(int kind, int request, int argument, int slot, long nowMs, long value) {
        operations.putInt(kind).putInt(request).putInt(argument).putInt(slot).putLong(nowMs).putLong(value);
    }

    private void step() {
        int request = random.nextInt(REQUESTS);
        now += random.nextInt(4) == 0 ? random.nextInt(LONGEST_STEP_MS) : 0;
        switch (random.nextInt(11)) {
            case 0, 1 -> begin(request);
            case 2 -> setWord();
            case 3 -> done(request, false);
            case 4, 5 -> done(request, true);
            case 6 -> setOthers();
            default -> pick(request);
        }
    }

    private void begin(int request) {
        if (walks[request] != null) {
            done(request, random.nextInt(4) == 0);
        }
        if (random.nextInt(10) == 0) {
            walks[request] = Walk.withoutKey();
            put(KEYLESS, request, 0, 0, 0);
        } else {
            int hash = random.nextInt();
            walks[request] = Walk.ofKey(hash);
            put(BEGIN, request, hash, 0, 0);
        }
    }

    private void done(int request, boolean failed) {
        balancer.done(walks[request], now, failed);
        put(DONE, request, failed ? 1 : 0, 0, 0);
    }

    /** A request never picks again before it has reported the peer it has. */
    private void pick(int request) {
        if (walks[request].peer() != Walk.NONE) {
            done(request, random.nextBoolean());
        }
        int peer = balancer.pick(walks[request], now);
        put(PICK, request, 0, peer == Walk.NONE ? -1 : table.slot(peer), 0);
    }

    private void setWord() {
        int slot = random.nextInt(table.peerCount());
        int word = random.nextInt(RAMP + 1);
        if (word == Reason.PASSIVE.ordinal()) {
            word = Reason.PROBE.ordinal();
        }
        long value = switch (random.nextInt(4)) {
            case 0 -> word == RAMP ? now - random.nextInt(6000) : now + random.nextInt(2000);
            case 1 -> now;
            default -> 0;
        };
        if (word == Reason.ADMIN.ordinal() && value != 0 && random.nextBoolean()) {
            value = ZoneLayout.FOREVER;
        }
        if (word == RAMP) {
            words.setRampStartMs(slot, value);
        } else {
            words.setReason(slot, Reason.values()[word], value);
        }
        put(SET, 0, word, slot, value);
    }

    private void setOthers() {
        int slot = random.nextInt(table.peerCount());
        int count = random.nextInt(3) == 0 ? 0 : random.nextInt(6);
        words.addInflight(slot, count - others[slot]);
        others[slot] = count;
        put(OTHERS, 0, 0, slot, count);
    }

    private void lookAtEveryWord() {
        for (int slot = 0; slot < table.peerCount(); slot++) {
            for (Reason reason : Reason.values()) {
                put(IS, 0, reason.ordinal(), slot, words.reason(slot, reason));
            }
            put(IS, 0, RAMP, slot, words.rampStartMs(slot));
            put(IS, 0, FAILS, slot, Integer.toUnsignedLong(words.fails(slot)));
            put(IS, 0, INFLIGHT, slot, words.inflight(slot));
        }
    }
}
