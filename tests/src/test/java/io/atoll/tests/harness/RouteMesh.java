package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Caches in tiers as a mesh deploys them: nodes of one nginx each, with a disk cache and a loopback address of their own,
 * all with the same tiers unless a scene says otherwise, and an origin that logs what reaches it.
 */
public final class RouteMesh {
    /** Where each node and the origin listen, on their own addresses. */
    public static final int PORT = 7001;

    private static final Pattern CACHE_KEY = Pattern.compile("\nKEY: ([^\n]*)\n");
    private static final Duration LOGGED = Duration.ofSeconds(10);
    /** For a second at least. */
    private static final int LOOKS_AT_TEMP = 500;

    private final Scene scene;
    private final List<Node> edges = new ArrayList<>();
    private final List<Node> shields = new ArrayList<>();
    private final Nginx origin;
    private String secret;

    /** One request as a node or the origin logged it; empty fields are "-". */
    public record Hop(String node, String uri, int status, String from, String step, String loop, String role, String upstream,
                      String cache, String method) {
    }

    /** One cache: what its configuration says may be changed until it starts. */
    public final class Node {
        private final String name;
        private final String address;
        private final Nginx nginx;
        private String edgeTier;
        private String shieldTier;
        private String http = "";
        private String route = "atoll_route edges shields origin;";
        private String step = "proxy_set_header Atoll-Step $atoll_step;";
        private String caching = "";
        private String server = "";
        private String key = "$uri";
        private String method = "";
        private String retry = "error timeout http_502";
        private String generation = "";
        private String handover = "";
        private String listen = "";

        private Node(String name, String address) {
            this.name = name;
            this.address = address;
            nginx = Nginx.in(scene, name);
        }

        /** `edge1`, `shield2`, …. */
        public String name() {
            return name;
        }

        /** Its address without the port. */
        public String address() {
            return address;
        }

        /** As upstreams name it. */
        public String server() {
            return address + ":" + PORT;
        }

        /** Where it listens. */
        public SocketAddress socket() {
            return Http.address(server());
        }

        /** Its process. */
        public Nginx nginx() {
            return nginx;
        }

        /** `server` lines of its upstream `edges`, where they are not those of all. */
        public Node edges(String lines) {
            edgeTier = lines;
            return this;
        }

        /** `server` lines of its upstream `shields`, where they are not those of all. */
        public Node shields(String lines) {
            shieldTier = lines;
            return this;
        }

        /** More lines for the http block. */
        public Node http(String lines) {
            http = lines;
            return this;
        }

        /** The body of the upstream it passes to. */
        public Node route(String lines) {
            route = lines;
            return this;
        }

        /** The line that hands the step on; empty to leave it out. */
        public Node step(String line) {
            step = line;
            return this;
        }

        /** More lines for the location, before what is said about the cache. */
        public Node caching(String lines) {
            caching = lines;
            return this;
        }

        /** More lines for the server block. */
        public Node inServer(String lines) {
            server = lines;
            return this;
        }

        /** The key of `atoll` and of the cache. */
        public Node key(String value) {
            key = value;
            return this;
        }

        /** `maglev`, `ketama`, or empty, in both its tiers. */
        public Node method(String word) {
            method = word;
            return this;
        }

        /** What it goes on to another peer for, as proxy_next_upstream has it. */
        public Node retry(String conditions) {
            retry = conditions;
            return this;
        }

        /** Its cache can be purged, and it hands on what it knows of that by this line. */
        public Node generation(String line) {
            generation = "$atoll_generation";
            step += "\n" + line;
            return this;
        }

        /** What `atoll_handover` says in both its tiers. */
        public Node handover(String parameters) {
            handover = "atoll_handover " + parameters + ";";
            return this;
        }

        /** More parameters of its `listen`. */
        public Node listen(String parameters) {
            listen = parameters;
            return this;
        }

        /** Writes its configuration and starts it. */
        public Node start() {
            configure();
            nginx.start();
            return this;
        }

        /** Writes its configuration anew and reloads. */
        public Node reload() {
            configure();
            nginx.reload();
            return this;
        }

        /** Writes its configuration, which nginx has to refuse; returns what it said. */
        public String refused() {
            configure();
            Proc.Result result = nginx.check();
            if (result.exit() == 0) {
                throw new AssertionError("nginx took a configuration that it should have refused: " + nginx.configuration());
            }
            return result.output();
        }

        /** Requests it has logged, in the order of their ends. */
        public List<Hop> log() {
            return hops(name, nginx);
        }

        /** Number of files in its cache, by key. What was answered is among them: nginx answers before it has put its file in place. */
        public Map<String, Integer> copies() {
            for (int look = 0; look < LOOKS_AT_TEMP && isStoring(); look++) {
                Await.window(Duration.ofMillis(2));
            }
            return RouteMesh.copies(nginx.prefix().resolve("cache"));
        }

        /** Who was killed leaves such files behind, too. */
        private boolean isStoring() {
            String[] files = nginx.prefix().resolve("temp/proxy").toFile().list();
            return files != null && files.length > 0;
        }

        private void configure() {
            nginx.atoll("""
                    %s
                    %s
                    log_format route '$uri|$status|$remote_addr|$http_atoll_step|$http_cdn_loop|$atoll_role|$upstream_addr|'
                                     '$upstream_cache_status|$request_method';
                    access_log logs/access.log route;
                    proxy_cache_path cache keys_zone=c:16m inactive=1h;
                    upstream edges { atoll %s %s; %s %s keepalive 16; }
                    upstream shields { atoll %s %s; %s %s keepalive 16; }
                    upstream origin { server %s; keepalive 16; }
                    upstream cdn { %s }
                    server {
                        listen %s backlog=1024 %s;
                        %s
                        client_max_body_size 64m;
                        location / {
                            proxy_pass http://cdn;
                            proxy_bind %s;
                            proxy_http_version 1.1;
                            proxy_set_header Connection "";
                            %s
                            proxy_set_header CDN-Loop $atoll_cdn_loop;
                            proxy_connect_timeout 1s;
                            proxy_next_upstream %s;
                            proxy_cache c;
                            proxy_cache_key %s;
                            %s
                            proxy_cache_valid 200 206 1h;
                            proxy_cache_bypass $atoll_bypass;
                            proxy_no_cache $atoll_no_store;
                            proxy_hide_header Cache-Status;
                            add_header Cache-Status $atoll_cache_status always;
                            proxy_hide_header X-Upstream;
                            proxy_hide_header X-Role;
                            add_header X-Upstream $upstream_addr;
                            add_header X-Role $atoll_role always;
                        }
                    }
                    """.formatted(secret == null ? "" : "atoll_secret " + scene.file("secret") + ";", http,
                    key, method, edgeTier == null ? servers(edges) : edgeTier, handover,
                    key, method, shieldTier == null ? servers(shields) : shieldTier, handover,
                    originServer(), route, server(), listen, server, address, step, retry, generation + key, caching));
        }
    }

    private RouteMesh(Scene scene, int edgeCount, int shieldCount) {
        this.scene = scene;
        for (int i = 1; i <= edgeCount; i++) {
            edges.add(new Node("edge" + i, scene.address(10 + i)));
        }
        for (int i = 1; i <= shieldCount; i++) {
            shields.add(new Node("shield" + i, scene.address(20 + i)));
        }
        origin = Nginx.in(scene, "origin");
    }

    /** Edges and shields that are not started yet. */
    public static RouteMesh in(Scene scene, int edges, int shields) {
        return new RouteMesh(scene, edges, shields);
    }

    /** A secret for all nodes. */
    public RouteMesh secret(String text) {
        try {
            Files.writeString(scene.file("secret"), text + "\n");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        secret = text;
        return this;
    }

    /** Starts the origin and all nodes. */
    public RouteMesh start() {
        startOrigin();
        nodes().parallelStream().forEach(Node::start);
        return this;
    }

    /**
     * Starts the origin: /r/… answers a line with its own name, /o/N the objects of {@link Peers}, /slow/… files at 200 kB/s,
     * and a PUT to /put/… is kept.
     */
    public RouteMesh startOrigin() {
        Path root = scene.file("objects");
        try {
            ObjectFiles.into(Files.createDirectories(root));
            Files.createDirectories(root.resolve("slow"));
            Files.setPosixFilePermissions(Files.createDirectories(root.resolve("put")), PosixFilePermissions.fromString("rwxrwxrwx"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        origin.http("""
                log_format route '$uri|$status|$remote_addr|$http_atoll_step|$http_cdn_loop|-|-|-|$request_method';
                access_log logs/access.log route;
                server {
                    listen %s backlog=1024;
                    root %s;
                    client_max_body_size 64m;
                    location /r/ { return 200 "object $uri\\n"; }
                    location /slow/ { limit_rate 200k; }
                    location /put/ { dav_methods PUT; }
                }
                """.formatted(originServer(), root)).start();
        return this;
    }

    /** What the origin says for an object below /r/. */
    public static String body(String uri) {
        return "object " + uri + "\n";
    }

    /** A node of no tier, with the tiers of all. */
    public Node front() {
        return front("front");
    }

    /** As {@link #front}, with another name of its folder. */
    public Node front(String name) {
        return new Node(name, frontAddress());
    }

    /** The address of {@link #front}. */
    public String frontAddress() {
        return scene.address(1);
    }

    /** An edge, from 0. */
    public Node edge(int i) {
        return edges.get(i);
    }

    /** A shield, from 0. */
    public Node shield(int i) {
        return shields.get(i);
    }

    /** All edges. */
    public List<Node> edges() {
        return edges;
    }

    /** All shields. */
    public List<Node> shields() {
        return shields;
    }

    /** Edges and shields. */
    public List<Node> nodes() {
        return Stream.concat(edges.stream(), shields.stream()).toList();
    }

    /** The origin's process. */
    public Nginx origin() {
        return origin;
    }

    /** The origin as an upstream names it. */
    public String originServer() {
        return scene.address(31) + ":" + PORT;
    }

    /** A file of the origin, by its path. */
    public Path originFile(String path) {
        return scene.file("objects").resolve(path);
    }

    /** Requests that the origin has logged. */
    public List<Hop> originLog() {
        return hops("origin", origin);
    }

    /** The origin's log once it has that many lines that a prefix of the URI selects. */
    public List<Hop> originLog(String prefix, int count) {
        return Await.value(count + " requests for " + prefix + "… in the origin's log", LOGGED, () -> {
            List<Hop> hops = originLog().stream().filter(hop -> hop.uri().startsWith(prefix)).toList();
            return hops.size() >= count ? hops : null;
        });
    }

    /** Kills nodes; returns how many requests the origin has logged once it is done with all that they had asked for. */
    public int lose(List<Node> nodes) {
        nodes.stream().map(Node::nginx).forEach(Nginx::kill);
        for (Node node : nodes) {
            Await.until("the origin to be done with the connections of " + node.name(), LOGGED, () -> Proc.must("ss", "-Htn", "state",
                    "established", "state", "close-wait", "src", originServer(), "dst", node.address()).isBlank());
        }
        return originLog().size();
    }

    /** All hops of all nodes and of the origin, by URI, once the logs stand still: nginx logs a request after its answer is out. */
    public Map<String, List<Hop>> ways() {
        List<Hop> seen = hops();
        for (int look = 0; look < 50; look++) {
            Await.window(Duration.ofMillis(300));
            List<Hop> now = hops();
            if (now.equals(seen)) {
                break;
            }
            seen = now;
        }
        Map<String, List<Hop>> ways = new TreeMap<>();
        seen.forEach(hop -> ways.computeIfAbsent(hop.uri(), uri -> new ArrayList<>()).add(hop));
        return ways;
    }

    private List<Hop> hops() {
        return Stream.concat(nodes().stream().flatMap(node -> node.log().stream()), originLog().stream()).toList();
    }

    /** `server` lines for these nodes, each with these parameters. */
    public static String servers(List<Node> nodes, String... parameters) {
        StringBuilder text = new StringBuilder();
        nodes.forEach(node -> text.append("server ").append(node.server()).append(' ').append(String.join(" ", parameters))
                .append("; "));
        return text.toString();
    }

    /** Number of files of a disk cache, by key. */
    public static Map<String, Integer> copies(Path cache) {
        Map<String, Integer> copies = new HashMap<>();
        try (Stream<Path> files = Files.walk(cache)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                byte[] bytes = Files.readAllBytes(file);
                String head = new String(Arrays.copyOf(bytes, Math.min(bytes.length, 4096)), StandardCharsets.ISO_8859_1);
                Matcher key = CACHE_KEY.matcher(head);
                if (!key.find()) {
                    throw new AssertionError("no key in " + file);
                }
                copies.merge(key.group(1), 1, Integer::sum);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return copies;
    }

    private static List<Hop> hops(String node, Nginx nginx) {
        Path log = nginx.prefix().resolve("logs/access.log");
        try {
            String text = Files.exists(log) ? Files.readString(log) : "";
            return text.substring(0, text.lastIndexOf('\n') + 1).lines().map(line -> hop(node, line)).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Hop hop(String node, String line) {
        String[] field = line.split("\\|", -1);
        if (field.length != 9) {
            throw new AssertionError("not a line of format route: " + line);
        }
        return new Hop(node, field[0], Integer.parseInt(field[1]), field[2], field[3], field[4], field[5], field[6], field[7],
                field[8]);
    }
}
