package io.atoll.agent.hot;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import io.atoll.agent.config.AgentConfig.HotKeysConfig;
import io.atoll.core.zone.HotSet;
import io.atoll.core.zone.ZoneSamples;

/**
 * The hot keys of one upstream. A peer's fair share of the requests is 1 / peers; a key is hot when its own share is above
 * {@code share} of that, and at least {@code rate} a second. It gets {@code share of the key / (share × fair share)} peers,
 * rounded up, so that it puts no more than {@code share} of a fair share on each: 2 to the upstream's limit.
 *
 * <p>A key that fewer than {@value #LEAST_SAMPLES} samples tell of is not hot: that may be chance. When all places are
 * taken, the key least asked for gives its place up to one of more than twice its share.
 *
 * <p>It gets more peers at once. It loses one when it has needed fewer without a break for {@code cool}, then the next
 * after another {@code cool}; the last two, or the place in a tier's set, once it has been below half of what made it hot
 * for as long. So no load moves faster when a key cools than one peer's part of it.
 *
 * <p>One thread; times are arguments, milliseconds.
 */
public final class HotKeys {
    static final int LEAST_SAMPLES = 12;
    private static final long NEVER = -1;

    /** A key that is hot. */
    private static final class Key {
        private final int entry;
        private int replicas;
        private double share;
        private double rate;
        private long lessSinceMs = NEVER;

        Key(int entry, int replicas) {
            this.entry = entry;
            this.replicas = replicas;
        }
    }

    /**
     * A hot key as it is now.
     *
     * @param hash     CRC-32 of the key
     * @param replicas peers that may serve it; 1 in a tier of a route
     * @param share    of the upstream's requests
     * @param rate     requests a second
     */
    public record Hot(int hash, int replicas, double share, double rate) {}

    private final HotKeysConfig config;
    private final HeavyHitters hitters;
    private final Map<Integer, Key> keys = new HashMap<>();

    public HotKeys(HotKeysConfig config, long nowMs) {
        this.config = config;
        this.hitters = new HeavyHitters(config.window().toMillis(), nowMs);
    }

    /** Goes on with what another agent found, as far as it stands: it cools like what was found here. */
    public void adopt(HotSet set, long nowMs) {
        for (int i = 0; i < set.hashes().length && i < config.max(); i++) {
            int replicas = set.replicas()[i];
            if (replicas > 0 && set.replicasOf(set.hashes()[i], nowMs) == replicas) {
                keys.putIfAbsent(set.hashes()[i], new Key(i, replicas));
            }
        }
    }

    /** A sample; see {@link ZoneSamples.Sink}. */
    public void sample(int hash, long weight) {
        hitters.add(hash, weight);
    }

    /**
     * Draws the conclusion from the samples so far.
     *
     * @param peers that share the upstream's requests, at least 1
     * @param limit of peers for a key; 1 where each node keeps a copy of what it is asked for
     */
    public void update(int peers, int limit, long nowMs) {
        double threshold = config.share() / peers;
        HeavyHitters.Window window = hitters.window(threshold / 2, nowMs);
        Map<Integer, Key> quiet = new HashMap<>(keys);
        // A window that has just begun says little.
        if (window.spanMs() * 2 >= config.window().toMillis()) {
            for (HeavyHitters.Hitter hitter : window.hitters()) {
                double share = (double) hitter.weight() / window.weight();
                double rate = hitter.weight() * 1000.0 / ZoneSamples.WEIGHT / window.spanMs();
                if (quiet.remove(hitter.hash()) != null || window.samplesOf(hitter) >= LEAST_SAMPLES) {
                    heard(hitter.hash(), share, rate, threshold, limit, nowMs);
                }
            }
            quiet.forEach((hash, key) -> heard(hash, 0, 0, threshold, limit, nowMs));
        }
    }

    private void heard(int hash, double share, double rate, double threshold, int limit, long nowMs) {
        int least = Math.min(2, limit);
        int wanted = Math.max(least, (int) Math.min(limit, Math.ceil(share / threshold)));
        boolean hot = share > threshold && rate >= config.rate();
        boolean warm = share > threshold / 2 && rate >= config.rate() / 2;
        Key key = keys.get(hash);
        if (key == null && hot && makeRoom(share)) {
            key = new Key(freeEntry(), wanted);
            keys.put(hash, key);
        }
        if (key == null) {
            return;
        }
        key.share = share;
        key.rate = rate;
        key.replicas = Math.min(Math.max(key.replicas, hot ? wanted : least), limit);
        int enough = hot ? wanted : warm ? least : 0;
        if (enough >= key.replicas) {
            key.lessSinceMs = NEVER;
        } else if (key.lessSinceMs == NEVER) {
            key.lessSinceMs = nowMs;
        } else if (nowMs - key.lessSinceMs >= config.cool().toMillis()) {
            key.lessSinceMs = nowMs;
            key.replicas--;
            if (key.replicas < least) {
                keys.remove(hash);
            }
        }
    }

    private boolean makeRoom(double share) {
        if (keys.size() < config.max()) {
            return true;
        }
        Map.Entry<Integer, Key> least = Collections.min(keys.entrySet(),
                Comparator.comparingDouble(entry -> entry.getValue().share));
        return 2 * least.getValue().share < share && keys.remove(least.getKey()) != null;
    }

    private int freeEntry() {
        boolean[] taken = new boolean[config.max()];
        keys.values().forEach(key -> taken[key.entry] = true);
        int entry = 0;
        while (taken[entry]) {
            entry++;
        }
        return entry;
    }

    /** What workers are to be told. A key keeps its entry as long as it is hot. */
    public HotSet set(long untilMs) {
        int[] hashes = new int[config.max()];
        int[] replicas = new int[config.max()];
        keys.forEach((hash, key) -> {
            hashes[key.entry] = hash;
            replicas[key.entry] = key.replicas;
        });
        return new HotSet(untilMs, hashes, replicas);
    }

    /** The hot keys, those most asked for first. */
    public List<Hot> all() {
        List<Hot> all = new ArrayList<>();
        keys.forEach((hash, key) -> all.add(new Hot(hash, key.replicas, key.share, key.rate)));
        all.sort(Comparator.comparingDouble(Hot::share).reversed().thenComparing(Hot::hash));
        return all;
    }
}
