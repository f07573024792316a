package io.atoll.agent.dns;

/**
 * A server of a service: an SRV record (RFC 2782).
 *
 * @param priority the lowest one is asked first
 * @param weight   its share among those of its priority, 0 to 65,535
 * @param port     1 to 65,535
 * @param host     lower case, without the dot at the end
 */
public record Target(int priority, int weight, int port, String host) implements Comparable<Target> {
    /** As a server line would name it. */
    public String server() {
        return host + ":" + port;
    }

    @Override
    public int compareTo(Target other) {
        int order = server().compareTo(other.server());
        order = order != 0 ? order : Integer.compare(priority, other.priority);
        return order != 0 ? order : Integer.compare(weight, other.weight);
    }

    @Override
    public String toString() {
        return server() + " priority=" + priority + " weight=" + weight;
    }
}
