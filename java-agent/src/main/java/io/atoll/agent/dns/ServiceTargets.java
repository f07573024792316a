package io.atoll.agent.dns;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

import io.atoll.agent.config.AgentConfig.ServiceConfig;
import io.atoll.agent.store.ServerAddress;
import io.atoll.core.zone.MemberChange;

/**
 * Servers of an upstream, of the targets of a service. Those of the lowest priority are its primary servers, the others backup ones, as in nginx. Weights are
 * proportional to the records' and as small as can be, since each unit costs 160 points: {@code 20, 40} is the same as {@code 1, 2}. Weight 0 counts as 1.
 */
public final class ServiceTargets {
    /** The greatest weight that comes from a record; greater ones are scaled down together. */
    static final int MAX_WEIGHT = 100;

    private ServiceTargets() {}

    /** Those whose names nginx would take: DNS may have any bytes in a name. */
    public static List<Target> named(List<Target> targets) {
        return targets.stream().filter(ServiceTargets::isServer).toList();
    }

    /** Those whose names nginx would not take, or that are no names: a target is none of an address (RFC 2782). */
    public static List<Target> refused(List<Target> targets) {
        return targets.stream().filter(target -> !isServer(target)).toList();
    }

    /**
     * The servers that have an address. One that is named twice is taken with the lower priority, and with the sum of the weights.
     *
     * @param targets   whose names nginx takes
     * @param addresses of a target; empty for one that does not resolve
     */
    public static List<MemberChange> servers(ServiceConfig service, List<Target> targets,
            Function<Target, List<MemberChange.Address>> addresses) {
        int primary = targets.stream().mapToInt(Target::priority).min().orElse(0);
        Map<String, Target> byServer = new LinkedHashMap<>();
        targets.forEach(target -> byServer.merge(target.server(), target, ServiceTargets::both));
        Map<String, Integer> weights = new LinkedHashMap<>();
        for (boolean backup : new boolean[] {false, true}) {
            weights.putAll(weights(byServer.values().stream().filter(target -> target.priority() != primary == backup).toList()));
        }
        List<MemberChange> servers = new ArrayList<>();
        for (Target target : byServer.values()) {
            List<MemberChange.Address> found = addresses.apply(target);
            if (!found.isEmpty()) {
                servers.add(new MemberChange(MemberChange.Kind.ADDED, target.server(), weights.get(target.server()), service.maxConns(),
                        service.maxFails(), (int) Math.min(Integer.MAX_VALUE, service.failTimeout().toMillis()),
                        target.priority() != primary, found));
            }
        }
        return servers;
    }

    private static boolean isServer(Target target) {
        try {
            ServerAddress.check(target.server());
            return ServerAddress.isName(target.server());
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    private static Target both(Target one, Target other) {
        if (one.priority() != other.priority()) {
            return one.priority() < other.priority() ? one : other;
        }
        return new Target(one.priority(), one.weight() + other.weight(), one.port(), one.host());
    }

    private static Map<String, Integer> weights(Collection<Target> ring) {
        int divisor = 0;
        int greatest = 1;
        for (Target target : ring) {
            divisor = divisor(divisor, weight(target));
            greatest = Math.max(greatest, weight(target));
        }
        Map<String, Integer> weights = new LinkedHashMap<>();
        for (Target target : ring) {
            int weight = weight(target) / divisor;
            int most = greatest / divisor;
            weights.put(target.server(), most <= MAX_WEIGHT ? weight
                    : Math.max(1, (int) Math.round((double) weight * MAX_WEIGHT / most)));
        }
        return weights;
    }

    private static int weight(Target target) {
        return Math.max(1, target.weight());
    }

    private static int divisor(int a, int b) {
        return b == 0 ? a : divisor(b, a % b);
    }
}
