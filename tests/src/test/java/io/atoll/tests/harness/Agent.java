package io.atoll.tests.harness;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The real agent beside an nginx, as a process of its own. Its API is reached through the nginx's location /agent/
 * (see {@link Front}), so that it may run in a network namespace.
 */
public final class Agent implements AutoCloseable {
    /** How long a verdict of the probes stands without being renewed, in these scenes. */
    public static final Duration LEASE = Duration.ofSeconds(3);

    private static final Duration START = Duration.ofSeconds(30);
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Half the time of a start: scenes start many agents, none of which lives long enough for a better compiled one to pay. */
    static final List<String> QUICK_START = List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1");

    private static final Path UNIT = Dist.ROOT.resolve("packaging/atoll-agent.service");
    private static final Pattern UNIT_COMMAND = Pattern.compile("(?m)^ExecStart=\\S*/java (.*) -jar ");

    private final Path folder;
    private final List<Nginx> fronts;
    private final List<String> command = new ArrayList<>();
    private final SocketAddress api;
    private Process process;

    private Agent(Scene scene, Nginx front, String name, String listen, NetNs netns, List<String> jvm, String settings)
            throws IOException {
        this(scene, List.of(front), name, listen, null, netns, jvm, settings);
    }

    private Agent(Scene scene, List<Nginx> fronts, String name, String listen, SocketAddress api, NetNs netns, List<String> jvm,
            String settings) throws IOException {
        this.fronts = fronts;
        this.api = api;
        folder = Files.createDirectories(scene.file(name));
        Files.writeString(folder.resolve("token"), "secret-of-the-scene");
        Files.writeString(folder.resolve("agent.conf"), """
                atoll {
                  zone = [%s]
                  heartbeat = 500 ms
                  lease = %d ms
                  api { listen = "%s", token-file = "%s/token" }
                  store { path = "%s/agent.journal" }
                }
                """.formatted(fronts.stream().map(front -> '"' + front.zone().toString() + '"').collect(Collectors.joining(", ")),
                LEASE.toMillis(), listen, folder, folder) + settings);
        if (netns != null) {
            command.addAll(netns.prefix());
        }
        command.add(ProcessHandle.current().info().command().orElse("java"));
        command.addAll(jvm);
        command.addAll(List.of("-jar", Dist.agent().toString(), "--config", folder.resolve("agent.conf").toString()));
    }

    /** Starts one beside a running nginx; returns when it has attached to the zone. */
    public static Agent start(Scene scene, Nginx front) {
        return start(scene, front, null, List.of());
    }

    /** Starts one for several running nginx; returns when it has attached to each of their zones. */
    public static Agent start(Scene scene, List<Nginx> fronts) {
        try {
            Agent agent = scene.keep(new Agent(scene, fronts, "agent", listen(scene), Http.address(listen(scene)), null, quickStart(List.of()), ""));
            agent.start();
            return agent;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Starts one inside a network namespace (null: none), with more options for its JVM. */
    public static Agent start(Scene scene, Nginx front, NetNs netns, List<String> jvm) {
        return start(scene, front, netns, jvm, "");
    }

    /** As before, with more settings, each as `atoll.NAME = VALUE` on a line of its own. */
    public static Agent start(Scene scene, Nginx front, NetNs netns, List<String> jvm, String settings) {
        try {
            Agent agent = scene.keep(new Agent(scene, front, "agent", listen(scene), netns, quickStart(jvm), settings));
            agent.start();
            return agent;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Starts one with more settings, each as `atoll.NAME = VALUE` on a line of its own. */
    public static Agent start(Scene scene, Nginx front, String settings) {
        try {
            Agent agent = scene.keep(new Agent(scene, front, "agent", listen(scene), null, quickStart(List.of()), settings));
            agent.start();
            return agent;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** As {@link #start(Scene, Nginx)}, with the JVM's options of the product's unit: the compiler, and the limits, that the agent lives with. */
    public static Agent startAsTheUnitDoes(Scene scene, Nginx front) {
        try {
            Agent agent = scene.keep(new Agent(scene, front, "agent", listen(scene), null, unitOptions(), ""));
            agent.start();
            return agent;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<String> quickStart(List<String> more) {
        List<String> options = new ArrayList<>(QUICK_START);
        options.addAll(ClassArchive.options());
        options.addAll(more);
        return options;
    }

    private static List<String> unitOptions() throws IOException {
        Matcher command = UNIT_COMMAND.matcher(Files.readString(UNIT));
        if (!command.find()) {
            throw new AssertionError(UNIT + " has no ExecStart=.../java OPTIONS -jar ...");
        }
        return List.of(command.group(1).split(" +"));
    }

    /** Starts a second one with files and a port of its own, which takes the zone over from the first. */
    public static Agent startAnother(Scene scene, Nginx front) {
        try {
            Agent agent = scene.keep(new Agent(scene, front, "another", scene.address(251) + ":9181", null, quickStart(List.of()), ""));
            agent.launch();
            Await.until("the second agent to take over", START,
                    () -> new ZoneFile(front.zone()).word(HeaderRecord.AGENT_PID) == agent.pid());
            return agent;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** One beside an nginx, with more settings as above, whose API is reached where it listens; not started yet. */
    public static Agent in(Scene scene, Nginx front, String name, String listen, String settings) {
        return in(scene, List.of(front), name, listen, settings);
    }

    /** As before, beside several. */
    public static Agent in(Scene scene, List<Nginx> fronts, String name, String listen, String settings) {
        try {
            return scene.keep(new Agent(scene, fronts, name, listen, Http.address(listen), null,
                    quickStart(List.of("-Xmx64m")), settings));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Where a scene's agent listens. */
    public static String listen(Scene scene) {
        return scene.address(250) + ":9181";
    }

    /** Starts it, again if it had ended; returns when it has attached to the zone and answers. */
    public void start() {
        launch();
        List<ZoneFile> zones = fronts.stream().map(front -> new ZoneFile(front.zone())).toList();
        Await.until("the agent to attach to " + zones.stream().map(ZoneFile::path).toList(), START, () -> {
            if (!process.isAlive()) {
                throw new AssertionError("the agent ended with " + process.exitValue() + ":\n" + log());
            }
            return zones.stream().allMatch(zone -> zone.word(HeaderRecord.AGENT_PID) == process.pid()) && answers();
        });
    }

    private void launch() {
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(folder.resolve("agent.log").toFile())).start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Process id. */
    public long pid() {
        return process.pid();
    }

    /** Ends it at once. */
    public void kill() {
        Proc.signal(pid(), "KILL");
        awaitEnd();
    }

    /** Ends it as systemd does, and returns its exit status. */
    public int stop() {
        Proc.signal(pid(), "TERM");
        awaitEnd();
        return process.exitValue();
    }

    /** GET, as JSON. */
    public JsonNode get(String path) {
        return call("GET", path);
    }

    /** A call that has to succeed, with the token. */
    public JsonNode call(String method, String path) {
        Http.Response response = send(method, path);
        if (response.status() / 100 != 2) {
            throw new AssertionError(method + " " + path + ": " + response.status() + " " + response.body());
        }
        return json(response);
    }

    /** A call with the token. */
    public Http.Response send(String method, String path) {
        try {
            return Http.once(address(), method, target(path), "Authorization: Bearer secret-of-the-scene",
                    "Content-Length: 0");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A call with the token and a JSON body. */
    public Http.Response send(String method, String path, String body) {
        try {
            return Http.withBody(address(), method, target(path), body, "Authorization: Bearer secret-of-the-scene",
                    "Content-Type: application/json");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A call with a JSON body that has to succeed. */
    public JsonNode call(String method, String path, String body) {
        Http.Response response = send(method, path, body);
        if (response.status() / 100 != 2) {
            throw new AssertionError(method + " " + path + ": " + response.status() + " " + response.body());
        }
        return json(response);
    }

    /** Adds a server to an upstream at run time. */
    public void add(String upstream, String server, int weight) {
        call("POST", "/v1/upstreams/" + upstream + "/servers", "{\"server\": \"%s\", \"weight\": %d}".formatted(server, weight));
    }

    /** Removes a server of an upstream at run time. */
    public void remove(String upstream, String server) {
        call("DELETE", "/v1/upstreams/" + upstream + "/servers/" + server, "{}");
    }

    /** Gives a server of an upstream another weight. */
    public void weight(String upstream, String server, int weight) {
        call("PATCH", "/v1/upstreams/" + upstream + "/servers/" + server, "{\"weight\": %d}".formatted(weight));
    }

    private String target(String path) {
        return api == null ? "/agent" + path : path;
    }

    /** Takes a peer out of service for good, as an operator does. */
    public void drain(String upstream, String address) {
        call("POST", "/v1/peers/" + upstream + "/" + address + "/drain");
    }

    /** Takes a drain back. */
    public void undrain(String upstream, String address) {
        call("POST", "/v1/peers/" + upstream + "/" + address + "/undrain");
    }

    /** Its output so far. */
    public String log() {
        try {
            return Files.readString(folder.resolve("agent.log"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Where its journal lies. */
    public Path journal() {
        return folder.resolve("agent.journal");
    }

    @Override
    public void close() {
        if (process != null && process.isAlive()) {
            Proc.signal(pid(), "CONT");
            int status = stop();
            if (status != 0 && status != 143) {
                throw new AssertionError("the agent ended with " + status + " on SIGTERM:\n" + log());
            }
        }
    }

    private SocketAddress address() {
        return api == null ? fronts.get(0).address() : api;
    }

    private boolean answers() {
        try {
            return Http.get(address(), target("/healthz")).status() == 200;
        } catch (IOException e) {
            return false;
        }
    }

    private void awaitEnd() {
        try {
            if (!process.waitFor(START.toSeconds(), TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new AssertionError("the agent does not end:\n" + log());
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** A body as JSON. */
    public static JsonNode json(Http.Response response) {
        try {
            return JSON.readTree(response.body());
        } catch (IOException e) {
            throw new AssertionError("not JSON: " + response.body(), e);
        }
    }
}
