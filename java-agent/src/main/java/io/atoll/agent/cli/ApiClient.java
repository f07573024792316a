package io.atoll.agent.cli;

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
import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.config.ConfigProblems;
import picocli.CommandLine.Option;

/** Options that say which agent is meant, and the calls to it. */
final class ApiClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration TIMEOUT = Duration.ofSeconds(10);

    @Option(names = "--config", paramLabel = "FILE",
            description = "The running agent's settings: where its API listens, and its token.")
    private Path config;

    @Option(names = "--api", paramLabel = "URL", description = "Where its API listens, such as http://127.0.0.1:9181.")
    private String api;

    @Option(names = "--token-file", paramLabel = "FILE", description = "A file with its token, for changing calls.")
    private Path tokenFile;

    /** A call that got no answer, or an error. */
    static final class Failed extends Exception {
        private static final long serialVersionUID = 1;

        Failed(String message) {
            super(message);
        }
    }

    /** What a command does with the client; failures become a line on standard error and exit code 1. */
    static int run(Callable<Integer> command) throws Exception {
        try {
            return command.call();
        } catch (Failed e) {
            System.err.println(e.getMessage());
            return 1;
        } catch (ConfigProblems e) {
            e.problems().forEach(System.err::println);
            return Main.WRONG;
        }
    }

    JsonNode get(String path) throws Failed, ConfigProblems, InterruptedException {
        return call(request(path).GET());
    }

    /** As {@link #send}. */
    JsonNode post(String path, ObjectNode body) throws Failed, ConfigProblems, InterruptedException {
        return send("POST", path, body);
    }

    /** Sends a call with what is not null of the body: what the user did not say is left out. */
    JsonNode send(String method, String path, ObjectNode body) throws Failed, ConfigProblems, InterruptedException {
        body.properties().removeIf(property -> property.getValue().isNull());
        HttpRequest.Builder request = request(path).method(method, HttpRequest.BodyPublishers.ofString(body.toString()));
        String token = token();
        return call(token.isEmpty() ? request : request.header("Authorization", "Bearer " + token));
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    /** For a path segment or a query parameter. */
    static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private HttpRequest.Builder request(String path) throws ConfigProblems, Failed {
        String base = api != null ? api : "http://" + AgentConfig.read(config).apiListen();
        try {
            return HttpRequest.newBuilder(URI.create((base.endsWith("/") ? base.substring(0, base.length() - 1) : base)
                    + path)).timeout(TIMEOUT);
        } catch (IllegalArgumentException e) {
            throw new Failed(base + " is no address of an API; expected a URL such as http://127.0.0.1:9181");
        }
    }

    private String token() throws ConfigProblems, Failed {
        if (tokenFile == null) {
            return config == null ? "" : AgentConfig.read(config).token();
        }
        try {
            return Files.readString(tokenFile).lines().findFirst().orElse("").trim();
        } catch (IOException e) {
            throw new Failed(tokenFile + " cannot be read; expected a file with the agent's token on its first line");
        }
    }

    private static JsonNode call(HttpRequest.Builder builder) throws Failed, InterruptedException {
        HttpRequest request = builder.build();
        HttpResponse<String> response;
        try {
            response = HttpClient.newBuilder().connectTimeout(TIMEOUT).version(HttpClient.Version.HTTP_1_1).build()
                    .send(request, HttpResponse.BodyHandlers.ofString());
        } catch (IOException e) {
            String why = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
            throw new Failed("No answer from an agent at " + request.uri().getScheme() + "://"
                    + request.uri().getAuthority() + " (" + why + "); is it running, and is this its address? "
                    + "--api or --config says another");
        }
        JsonNode answer;
        try {
            answer = JSON.readTree(response.body());
        } catch (IOException e) {
            throw new Failed(request.uri() + " answered " + response.statusCode() + " without JSON; is it an agent?");
        }
        if (response.statusCode() / 100 != 2) {
            JsonNode error = answer.path("error");
            throw new Failed(error.path("what").asText("status " + response.statusCode()) + " ("
                    + error.path("where").asText() + "); expected " + error.path("expected").asText() + "; "
                    + error.path("fix").asText());
        }
        return answer;
    }
}
