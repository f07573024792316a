package io.atoll.tests.harness;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Caches, each an nginx with an agent, before one origin whose answers are never the same twice; all agents know each other.
 * /o/… are objects, /vary/… differ by X-Lang, /slices/big is one of 4 slices. Header X-Cache is nginx's word for where an answer
 * came from.
 */
public final class PurgeMesh {
    private static final int PORT = 7411;
    private static final int AGENT_PORT = 7412;
    private static final Duration LIMIT = Duration.ofSeconds(20);

    private final Scene scene;
    private final Nginx origin;
    private final List<Node> nodes = new ArrayList<>();

    /** A cache and its agent. */
    public final class Node {
        private final String address;
        private final Nginx nginx;
        private final Agent agent;

        private Node(int i, String agents, String settings) {
            address = scene.address(10 + i);
            nginx = Nginx.in(scene, "node" + i).workers(1);
            agent = Agent.in(scene, nginx, "agent" + i, address + ":" + AGENT_PORT,
                    "atoll.mesh.agents = [" + agents + "]\n" + settings.replace("NODE", address + ":" + PORT));
        }

        /** Starts nginx, then the agent. */
        public void start() {
            startNginx();
            agent.start();
        }

        /** Starts nginx alone. */
        public void startNginx() {
            nginx.atoll(configuration()).start();
        }

        /** Reloads nginx with a zone of another size: it makes a new file. */
        public void resize(String size) {
            nginx.atoll("size=" + size, configuration()).reload();
        }

        private String configuration() {
            return """
                    proxy_cache_path cache keys_zone=c:8m inactive=1h;
                    upstream pool { atoll $uri; server %s:%d; keepalive 4; }
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_cache c;
                    proxy_cache_valid 200 206 1h;
                    add_header X-Cache $upstream_cache_status;
                    server {
                        listen %s:%d backlog=1024;
                        proxy_cache_key $atoll_generation$host$uri$is_args$args;
                        location / { proxy_pass http://pool; }
                        location = /delete { atoll_purge c $atoll_generation$atoll_purge_key; }
                        location = /forbidden { deny all; atoll_purge c $atoll_generation$atoll_purge_key; }
                        location /slices/ {
                            slice 1k;
                            proxy_set_header Range $slice_range;
                            proxy_cache_key $atoll_generation$host$uri$slice_range;
                            proxy_pass http://pool;
                        }
                    }
                    """.formatted(scene.address(9), PORT, address, PORT);
        }

        public Nginx nginx() {
            return nginx;
        }

        public Agent agent() {
            return agent;
        }

        public SocketAddress socket() {
            return Http.address(address + ":" + PORT);
        }

        /** Asks for an object; fails unless it is answered with 200 or 206. */
        public Http.Response get(String target, String... headers) {
            try {
                Http.Response response = Http.get(socket(), target, headers);
                if (response.status() / 100 != 2) {
                    throw new AssertionError(target + ": " + response.status() + " " + response.body());
                }
                return response;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** HIT, MISS, … for an object. */
        public String cache(String target, String... headers) {
            return get(target, headers).header("X-Cache");
        }

        /** Power fails: nginx and agent are gone; what is on disk, and the zone file, stay. */
        public void kill() {
            nginx.kill();
            agent.kill();
        }
    }

    private PurgeMesh(Scene scene, int count, String settings) {
        this.scene = scene;
        origin = Nginx.in(scene, "origin").workers(1);
        String agents = IntStream.range(0, count).mapToObj(i -> "\"http://" + scene.address(10 + i) + ":" + AGENT_PORT + "\"")
                .collect(Collectors.joining(", "));
        for (int i = 0; i < count; i++) {
            nodes.add(new Node(i, agents, settings));
        }
    }

    /** That many nodes and their origin, all started. */
    public static PurgeMesh start(Scene scene, int count) {
        return start(scene, count, "");
    }

    /**
     * As {@link #start(Scene, int)}, with more settings of the agents, each as `atoll.NAME = VALUE` on a line of its own, in which NODE
     * is where the agent's nginx listens: /delete deletes files of its cache, /forbidden must not.
     */
    public static PurgeMesh start(Scene scene, int count, String settings) {
        PurgeMesh mesh = new PurgeMesh(scene, count, settings);
        mesh.startOrigin();
        mesh.nodes.parallelStream().forEach(Node::start);
        mesh.awaitSync();
        return mesh;
    }

    private void startOrigin() {
        try {
            Files.createDirectories(scene.file("objects/slices"));
            Files.writeString(scene.file("objects/slices/big"), "x".repeat(4096));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        origin.http("""
                server {
                    listen %s:%d backlog=1024;
                    root %s;
                    location / { return 200 "$request_id $uri\\n"; }
                    location /vary/ { add_header Vary X-Lang; return 200 "$request_id $uri $http_x_lang\\n"; }
                    location /slices/ { }
                }
                """.formatted(scene.address(9), PORT, scene.file("objects"))).start();
    }

    /** Waits until each agent has asked the others what it missed. */
    public void awaitSync() {
        for (Node node : nodes) {
            Await.until("the agents to be in sync", LIMIT, () -> node.agent.send("GET", "/metrics").body()
                    .contains("\natoll_agent_purges_in_sync 1.0"));
        }
    }

    public List<Node> nodes() {
        return nodes;
    }

    public Node node(int i) {
        return nodes.get(i);
    }

    /** Purges by the agent of a node; returns its answer. */
    public JsonNode purge(int i, String body) {
        Http.Response response = node(i).agent.send("POST", "/v1/purge", body);
        if (response.status() / 100 != 2) {
            throw new AssertionError("purge " + body + ": " + response.status() + " " + response.body());
        }
        return Agent.json(response);
    }

    /** Waits until a purge of a node's agent is done everywhere. */
    public void awaitDone(int i, String id) {
        Await.until("purge " + id + " to be done", LIMIT,
                () -> node(i).agent.get("/v1/purges/" + id).path("state").asText().equals("done"));
    }
}
