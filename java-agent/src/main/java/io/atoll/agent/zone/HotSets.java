package io.atoll.agent.zone;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

import io.atoll.agent.config.AgentConfig.HotKeysConfig;
import io.atoll.agent.hot.HotKeys;
import io.atoll.core.zone.HotSet;
import io.atoll.core.zone.PeerState;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneSamples;

/** The hot keys of a zone: reads what its workers sampled, and writes the sets of its upstreams. On the agent's event loop. */
final class HotSets {
    private final Zone zone;
    private final HotKeysConfig config;
    private final long leaseMs;
    private final ZoneSamples samples;
    private final Map<Integer, HotKeys> upstreams = new HashMap<>();

    HotSets(Zone zone, HotKeysConfig config, long leaseMs, long nowMs) {
        this.zone = zone;
        this.config = config;
        this.leaseMs = leaseMs;
        this.samples = zone.samples();
        for (int i = 0; i < zone.upstreamCapacity(); i++) {
            HotSet before = zone.hotSet(i);
            if (Long.compareUnsigned(before.untilMs(), nowMs) > 0 && !before.isEmpty()) {
                of(i, nowMs).adopt(before, nowMs);
            }
        }
    }

    private HotKeys of(int upstream, long nowMs) {
        return upstreams.computeIfAbsent(upstream, index -> new HotKeys(config, nowMs));
    }

    /** One round. A set that had keys is written once more without them; a set without keys is left alone. */
    void round(List<Pool> pools, long nowMs) {
        samples.read((upstream, hash, weight) -> of(upstream, nowMs).sample(hash, weight));
        for (Pool pool : pools) {
            int index = pool.upstream().index();
            HotKeys keys = upstreams.get(index);
            if (keys == null) {
                continue;
            }
            int peers = serving(pool, nowMs);
            keys.update(Math.max(1, peers), Math.max(1, Math.min(peers, pool.upstream().replicas())), nowMs);
            HotSet set = keys.set(nowMs + leaseMs);
            if (!set.isEmpty() || !zone.hotSet(index).isEmpty()) {
                zone.writeHotSet(index, set);
            }
        }
    }

    /** Primary peers that get traffic; all of them when none does. */
    private int serving(Pool pool, long nowMs) {
        int primary = 0;
        int serving = 0;
        for (Pool.Member member : pool.members()) {
            if (!member.peer().isBackup() && !member.peer().isDown()) {
                PeerState state = zone.state(member.peer().slot());
                primary++;
                serving += state.standsAny(nowMs) ? 0 : 1;
            }
        }
        return serving == 0 ? primary : serving;
    }

    /** The hot keys of an upstream, those most asked for first. */
    List<HotKeys.Hot> keys(int upstream) {
        HotKeys keys = upstreams.get(upstream);
        return keys == null ? List.of() : keys.all();
    }

    /** Samples read so far. */
    long samplesRead() {
        return samples.read();
    }

    /** Samples that were overwritten before they were read. */
    long samplesLost() {
        return samples.lost();
    }
}
