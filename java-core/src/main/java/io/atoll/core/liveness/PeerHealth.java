package io.atoll.core.liveness;

/**
 * What the probes of one peer say: up or down, by counting results in a row.
 *
 * <p><b>Fall.</b> {@code fall} failures in a row make an up peer down. Nothing delays this.
 *
 * <p><b>Rise.</b> {@code rise} successes in a row make a down peer up, once they have lasted for the hold-down.
 *
 * <p><b>Hold-down.</b> A peer that keeps changing its mind is held down. Its <em>unsteadiness</em> grows by one with each
 * result that differs from the one before, to at most {@value #MAX_UNSTEADINESS}, and shrinks by one a minute. One clean
 * outage (a change to bad, a change to good) costs nothing: up to {@value #FREE_UNSTEADINESS} the hold-down is 0. From
 * there it is 4 s and doubles with each step, up to 128 s:
 *
 * <pre>
 *   unsteadiness   ≤ 2   3     4     5      6      7      8
 *   hold-down      0     4 s   8 s   16 s   32 s   64 s   128 s
 * </pre>
 *
 * <p><b>Bound.</b> Each transition needs a change of its own. Below the maximum, changes are at most
 * {@value #MAX_UNSTEADINESS} and one for each minute passed; at the maximum a transition up takes 128 s of unbroken
 * success. So whatever a peer does, its transitions in any {@code m} minutes are at most {@code 8 + m}, and a peer that
 * fails at random (packet loss) goes down once and stays down until it is steady.
 *
 * <p>A new peer is up: nobody has seen it fail. Not thread-safe.
 */
public final class PeerHealth {
    /** Unsteadiness that costs nothing: one clean outage. */
    public static final int FREE_UNSTEADINESS = 2;
    /** Unsteadiness grows no further. */
    public static final int MAX_UNSTEADINESS = 8;
    /** Milliseconds in which unsteadiness shrinks by one. */
    public static final long STEADY_MS = 60_000;
    /** Milliseconds of hold-down for the first step beyond what is free; doubles with each step. */
    public static final long HOLD_MS = 4_000;

    /** What the results mean at present. */
    public enum State {
        /** Up, and the last result agrees. */
        UP,
        /** Up, with failures in a row that are not enough yet. */
        FALLING,
        /** Down, and the last result agrees. */
        DOWN,
        /** Down, with successes in a row that are not enough yet. */
        RISING
    }

    /** What a result changed. */
    public enum Transition {
        /** Nothing. */
        NONE,
        /** The peer is down from now on. */
        WENT_DOWN,
        /** The peer is up from now on. */
        WENT_UP
    }

    private final int rise;
    private final int fall;
    private boolean up;
    private boolean lastGood;
    private int inRow;
    private long rowSinceMs;
    private double unsteadiness;
    private long unsteadinessMs;
    private long lastResultMs;
    private boolean hasResult;
    private long transitions;

    /**
     * A peer without results.
     *
     * @param rise successes in a row that make it up, 1 or more
     * @param fall failures in a row that make it down, 1 or more
     * @param up whether it starts up; an agent that finds a verdict still standing starts it down
     * @param nowMs the present
     */
    public PeerHealth(int rise, int fall, boolean up, long nowMs) {
        if (rise < 1 || fall < 1) {
            throw new IllegalArgumentException("rise is " + rise + " and fall is " + fall + ", expected 1 or more");
        }
        this.rise = rise;
        this.fall = fall;
        this.up = up;
        this.lastGood = up;
        this.unsteadinessMs = nowMs;
        this.rowSinceMs = nowMs;
    }

    /** Takes the result of a probe that ended at a time, and says what it changed. */
    public Transition onResult(boolean good, long nowMs) {
        if (good != lastGood) {
            unsteadiness = Math.min(MAX_UNSTEADINESS, unsteadiness(nowMs) + 1);
            unsteadinessMs = nowMs;
            inRow = 0;
        }
        if (inRow == 0) {
            rowSinceMs = nowMs;
        }
        inRow = Math.min(inRow + 1, Integer.MAX_VALUE - 1);
        lastGood = good;
        lastResultMs = nowMs;
        hasResult = true;
        if (good == up || inRow < (good ? rise : fall) || good && heldMs(nowMs) > 0) {
            return Transition.NONE;
        }
        up = good;
        transitions++;
        return up ? Transition.WENT_UP : Transition.WENT_DOWN;
    }

    /** Unsteadiness at a time, 0 to {@value #MAX_UNSTEADINESS}. */
    public double unsteadiness(long nowMs) {
        return Math.max(0, unsteadiness - (double) Math.max(0, nowMs - unsteadinessMs) / STEADY_MS);
    }

    /** Milliseconds of success that a down peer with successes in a row still owes before it may come up; 0: none. */
    public long heldMs(long nowMs) {
        if (up || !lastGood) {
            return 0;
        }
        // As it was when the row began: time that passes within the row must not shorten it twice.
        return Math.max(0, rowSinceMs + holdMs(unsteadiness(rowSinceMs)) - nowMs);
    }

    private static long holdMs(double unsteadiness) {
        int steps = (int) Math.ceil(unsteadiness) - FREE_UNSTEADINESS;
        return steps <= 0 ? 0 : HOLD_MS << steps - 1;
    }

    /** Whether the peer is up. */
    public boolean isUp() {
        return up;
    }

    /** What the results mean at present. */
    public State state() {
        if (up) {
            return lastGood ? State.UP : State.FALLING;
        }
        return lastGood ? State.RISING : State.DOWN;
    }

    /** Whether the next few results decide: probe faster. Not while a hold-down runs, which more results do not shorten. */
    public boolean isChanging(long nowMs) {
        return lastGood != up && heldMs(nowMs) == 0;
    }

    /** Results in a row like the last one. */
    public int inRow() {
        return inRow;
    }

    /** Whether there has been a result. */
    public boolean hasResult() {
        return hasResult;
    }

    /** When the last result came. */
    public long lastResultMs() {
        return lastResultMs;
    }

    /** Transitions so far. */
    public long transitions() {
        return transitions;
    }
}
