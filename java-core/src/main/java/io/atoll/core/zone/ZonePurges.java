package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.PurgeKind;
import io.atoll.core.zone.ZoneLayout.PurgeSetRecord;
import io.atoll.core.zone.ZoneLayout.PurgesLoaded;
import io.atoll.core.zone.ZoneLayout.PurgesRecord;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;

/**
 * The purges of a zone. A purge is a text of a kind with a number greater than all before; the greatest number that
 * concerns a key is its generation, which nginx has in the key it caches under.
 *
 * <p>One writer, the agent that has claimed the zone, on one thread; workers read at any moment, without a lock. Purges lie in
 * sets of {@value #WAYS} by their hash. The oldest of a full set goes into the set's floor, which concerns every key that is looked
 * for there: too much is purged then, about the part 1 / {@link #setCount} of all keys, and never too little.
 *
 * <p>Twin: nginx-module/reader/atoll_purge.h.
 */
public final class ZonePurges {
    /** Purges in a set. */
    public static final int WAYS = PurgeSetRecord.HASH_ELEMENTS;

    private static final long FNV_BASIS = 0xcbf29ce484222325L;
    private static final long FNV_PRIME = 0x100000001b3L;

    /** What a purge speaks of. */
    public enum Kind { KEY, PREFIX, SITE, ALL }

    private final ZoneMemory memory;
    private final int head;
    private final int sets;

    ZonePurges(ZoneMemory memory, int head, int sets) {
        this.memory = memory;
        this.head = head;
        this.sets = sets;
    }

    /** Of kind and text; never 0. Not of {@link Kind#ALL}, which has no text. */
    public static long hash(Kind kind, byte[] text) {
        return hash(kind, text, text.length);
    }

    private static long hash(Kind kind, byte[] text, int length) {
        long state = FNV_BASIS;
        for (int i = 0; i < length; i++) {
            state = (state ^ text[i] & 0xff) * FNV_PRIME;
        }
        state ^= (code(kind) + 1) * 0x9e3779b97f4a7c15L;
        state = (state ^ state >>> 33) * 0xff51afd7ed558ccdL;
        state = (state ^ state >>> 33) * 0xc4ceb9fe1a85ec53L;
        state ^= state >>> 33;
        return state == 0 ? 1 : state;
    }

    private static long code(Kind kind) {
        return switch (kind) {
            case KEY -> PurgeKind.EXACT;
            case PREFIX -> PurgeKind.PREFIX;
            case SITE -> PurgeKind.SITE;
            case ALL -> throw new IllegalArgumentException("a purge of everything has no text");
        };
    }

    /** Sets of this zone, a power of two. */
    public int setCount() {
        return sets;
    }

    /** The greatest number in force; 0 when nothing was ever purged. */
    public long last() {
        return memory.acquire(head + PurgesRecord.LAST);
    }

    /** Whether workers wait for an agent before they use copies of before. */
    public boolean isAwaited() {
        return memory.acquire(head + PurgesRecord.LOADED) == PurgesLoaded.NO;
    }

    /** Whether an agent that is in sync said that all purges are here. */
    public boolean isLoaded() {
        return memory.acquire(head + PurgesRecord.LOADED) == PurgesLoaded.YES;
    }

    /** Tells workers that all purges that stand are here. */
    public void setLoaded() {
        memory.setRelease(head + PurgesRecord.LOADED, PurgesLoaded.YES);
    }

    /**
     * To be called by an agent that began anew, before it asks others what it missed. Workers of an nginx that runs go on; one
     * that starts meanwhile waits.
     */
    public void setAged() {
        memory.compareAndSet(head + PurgesRecord.LOADED, PurgesLoaded.YES, PurgesLoaded.AGED);
    }

    /**
     * Tells workers that purges may have been missed: copies of before are not used until {@link #setLoaded}.
     *
     * @param nonce another one each time
     */
    public void setAwaited(long nonce, long nowMs) {
        memory.setRelaxed(head + PurgesRecord.NONCE, nonce);
        memory.setRelaxed(head + PurgesRecord.SINCE_MS, nowMs);
        memory.setRelease(head + PurgesRecord.LOADED, PurgesLoaded.NO);
    }

    /**
     * Puts a purge in force. One that is in force with this or a greater number stays.
     *
     * @param text   of up to 256 bytes for a prefix; empty for {@link Kind#ALL}
     * @param number greater than 0
     */
    public void put(Kind kind, String text, long number) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (kind == Kind.ALL || kind == Kind.PREFIX && bytes.length == 0) {
            raise(head + PurgesRecord.ALL, number);
        } else {
            put(hash(kind, bytes), number);
        }
        if (kind == Kind.PREFIX && bytes.length > 0) {
            int bit = bytes.length - 1;
            if (bit >= ZoneLayout.PURGE_PREFIX_CAPACITY) {
                throw new IllegalArgumentException("a prefix of " + bytes.length + " bytes");
            }
            int word = head + PurgesRecord.LENGTHS + bit / 64 * Long.BYTES;
            memory.setRelease(word, memory.relaxed(word) | 1L << bit % 64);
        }
        raise(head + PurgesRecord.LAST, number);
        VarHandle.fullFence();
    }

    private void raise(int word, long number) {
        if (Long.compareUnsigned(number, memory.relaxed(word)) > 0) {
            memory.setRelease(word, number);
        }
    }

    private void put(long hash, long number) {
        int set = set(hash);
        int place = place(set, hash);
        int hashWord = set + PurgeSetRecord.HASH + place * Long.BYTES;
        int numberWord = set + PurgeSetRecord.NUMBER + place * Long.BYTES;
        long held = memory.relaxed(hashWord);
        if (held == hash) {
            raise(numberWord, number);
            return;
        }
        if (held != 0) {
            raise(set + PurgeSetRecord.FLOOR, memory.relaxed(numberWord));
        }
        memory.setRelease(numberWord, 0);
        memory.setRelease(hashWord, hash);
        memory.setRelease(numberWord, number);
    }

    private int set(long hash) {
        return head + PurgesRecord.SIZE + (int) (hash & sets - 1) * PurgeSetRecord.SIZE;
    }

    /** The place of hash, else a vacant one, else that of the oldest. */
    private int place(int set, long hash) {
        int place = 0;
        long least = -1;
        for (int i = 0; i < WAYS; i++) {
            long held = memory.relaxed(set + PurgeSetRecord.HASH + i * Long.BYTES);
            long number = held == 0 ? 0 : memory.relaxed(set + PurgeSetRecord.NUMBER + i * Long.BYTES);
            if (held == hash) {
                return i;
            }
            if (Long.compareUnsigned(number, least) < 0) {
                least = number;
                place = i;
            }
        }
        return place;
    }

    /** The generation of a key of a host, as a worker works it out; 0: no purge concerns it. */
    public long generation(String key, String host) {
        if (last() == 0) {
            return 0;
        }
        byte[] bytes = key.getBytes(StandardCharsets.UTF_8);
        long number = memory.relaxed(head + PurgesRecord.ALL);
        for (int length = 1; length <= Math.min(bytes.length, ZoneLayout.PURGE_PREFIX_CAPACITY); length++) {
            long lengths = memory.relaxed(head + PurgesRecord.LENGTHS + (length - 1) / 64 * Long.BYTES);
            if ((lengths >>> (length - 1) % 64 & 1) != 0) {
                number = greater(number, find(hash(Kind.PREFIX, bytes, length)));
            }
        }
        number = greater(number, find(hash(Kind.KEY, bytes)));
        return greater(number, find(hash(Kind.SITE, host.getBytes(StandardCharsets.UTF_8))));
    }

    private long find(long hash) {
        int set = set(hash);
        long number = 0;
        for (int i = 0; i < WAYS; i++) {
            if (memory.acquire(set + PurgeSetRecord.HASH + i * Long.BYTES) == hash) {
                number = greater(number, memory.acquire(set + PurgeSetRecord.NUMBER + i * Long.BYTES));
            }
        }
        return greater(number, memory.acquire(set + PurgeSetRecord.FLOOR));
    }

    private static long greater(long a, long b) {
        return Long.compareUnsigned(a, b) > 0 ? a : b;
    }
}
