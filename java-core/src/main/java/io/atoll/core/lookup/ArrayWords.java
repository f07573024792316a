package io.atoll.core.lookup;

import io.atoll.core.zone.Reason;

/** Words of the peers of one upstream in plain arrays, for one thread. */
public final class ArrayWords implements WorkerWords {
    private final long[] incarnation;
    private final long[][] reasons;
    private final long[] rampStartMs;
    private final long[] changedMs;
    private final long[] avoidUntilMs;
    private final long[] accessedMs;
    private final long[] checkedMs;
    private final int[] fails;
    private final long[] inflight;

    /** Words of some slots, all 0. */
    public ArrayWords(int slots) {
        incarnation = new long[slots];
        reasons = new long[slots][Reason.values().length];
        rampStartMs = new long[slots];
        changedMs = new long[slots];
        avoidUntilMs = new long[slots];
        accessedMs = new long[slots];
        checkedMs = new long[slots];
        fails = new int[slots];
        inflight = new long[slots];
    }

    /** Sets until when a reason stands. */
    public void setReason(int slot, Reason reason, long untilMs) {
        reasons[slot][reason.ordinal()] = untilMs;
    }

    /** Sets when the peer was last taken out of traffic, let back or found well again. */
    public void setChangedMs(int slot, long ms) {
        changedMs[slot] = ms;
    }

    /** Sets until when no worker asks the peer for a copy of before. */
    public void setAvoidUntilMs(int slot, long ms) {
        avoidUntilMs[slot] = ms;
    }

    /** Gives the slot to another peer: all words 0, then the number. */
    public void setIncarnation(int slot, long number) {
        reasons[slot] = new long[Reason.values().length];
        changedMs[slot] = 0;
        avoidUntilMs[slot] = 0;
        incarnation[slot] = number;
    }

    @Override
    public long incarnation(int slot) {
        return incarnation[slot];
    }

    @Override
    public long reason(int slot, Reason reason) {
        return reasons[slot][reason.ordinal()];
    }

    @Override
    public long rampStartMs(int slot) {
        return rampStartMs[slot];
    }

    @Override
    public long changedMs(int slot) {
        return changedMs[slot];
    }

    @Override
    public long avoidUntilMs(int slot) {
        return avoidUntilMs[slot];
    }

    @Override
    public int fails(int slot) {
        return fails[slot];
    }

    @Override
    public long inflight(int slot) {
        return inflight[slot];
    }

    @Override
    public long accessedMs(int slot) {
        return accessedMs[slot];
    }

    @Override
    public long checkedMs(int slot) {
        return checkedMs[slot];
    }

    @Override
    public void setAccessedMs(int slot, long ms) {
        accessedMs[slot] = ms;
    }

    @Override
    public void setCheckedMs(int slot, long ms) {
        checkedMs[slot] = ms;
    }

    @Override
    public void setFails(int slot, int count) {
        fails[slot] = count;
    }

    @Override
    public void setRampStartMs(int slot, long ms) {
        rampStartMs[slot] = ms;
    }

    @Override
    public void addInflight(int slot, int n) {
        inflight[slot] += n;
    }

    @Override
    public long upstreamInflight() {
        long sum = 0;
        for (long n : inflight) {
            sum += n;
        }
        return sum;
    }

    @Override
    public boolean compareAndSetPassive(int slot, long expected, long value) {
        if (reason(slot, Reason.PASSIVE) != expected) {
            return false;
        }
        setReason(slot, Reason.PASSIVE, value);
        return true;
    }
}
