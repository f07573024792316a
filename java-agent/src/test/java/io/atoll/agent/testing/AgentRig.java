package io.atoll.agent.testing;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.agent.Agent;
import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.config.ConfigProblems;
import io.atoll.agent.os.ServiceManager;

/** An agent in this JVM, with ten heartbeats a second, and a client of its API. */
public final class AgentRig implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path folder;
    private final Agent agent;
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofSeconds(10)).build();

    /** @param more further lines of its configuration */
    public AgentRig(Path folder, String more) throws IOException, ConfigProblems {
        this.folder = folder;
        Path config = Files.writeString(folder.resolve("agent.conf"), """
                atoll.zone = "%s/nginx.zone"
                atoll.heartbeat = 100 ms
                atoll.lease = 3 s
                atoll.api.listen = "127.0.0.1:0"
                atoll.store.path = "%s/journal"
                """.formatted(folder, folder) + more);
        agent = new Agent(AgentConfig.read(config), new ServiceManager(Map.of()));
        agent.start();
    }

    public AgentRig(Path folder) throws IOException, ConfigProblems {
        this(folder, "");
    }

    public Agent agent() {
        return agent;
    }

    public Path zonePath() {
        return folder.resolve("nginx.zone");
    }

    public String base() {
        return "http://127.0.0.1:" + agent.apiAddress().getPort();
    }

    public static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    public HttpResponse<String> send(String method, String path, String body, String... headers) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base() + path)).timeout(Duration.ofSeconds(20))
                .method(method, body.isEmpty() ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofString(body));
        if (headers.length > 0) {
            request.headers(headers);
        }
        try {
            return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        } catch (IOException e) {
            throw new AssertionError(method + " " + path, e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    public HttpResponse<String> get(String path) {
        return send("GET", path, "");
    }

    public JsonNode json(String path) {
        return parse(get(path).body());
    }

    public static JsonNode parse(String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException e) {
            throw new AssertionError(text, e);
        }
    }

    public HttpResponse<String> change(String server, String action, String body) {
        return send("POST", "/v1/peers/" + ZoneFixture.UPSTREAM + "/" + encode(server) + "/" + action, body);
    }

    /** OK, or why its zone is not attached. */
    public String state() {
        return json("/v1/status").path("zones").get(0).path("state").asText();
    }

    public void awaitState(String state) {
        Await.until("zone " + state, () -> state().equals(state), this::state);
    }

    public JsonNode peer(int index) {
        return json("/v1/peers").path("peers").get(index);
    }

    /** The value of a sample, by its beginning: name{label="value", in the order of the page. */
    public double metric(String beginning) {
        return get("/metrics").body().lines().filter(line -> line.startsWith(beginning))
                .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ')))).findFirst()
                .orElseThrow(() -> new AssertionError("no sample " + beginning));
    }

    /** Waits until so many more heartbeats were written. */
    public static void awaitHeartbeats(ZoneFixture zone, int count) {
        for (int i = 0; i < count; i++) {
            long last = zone.zone().agentHeartbeatMs();
            Await.until("a heartbeat", () -> zone.zone().agentHeartbeatMs() != last);
        }
    }

    @Override
    public void close() {
        agent.close();
    }
}
