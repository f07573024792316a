import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;

/** The client of bench/purge/run: PORT ROUNDS OBJECTS. */
public final class Measure {
    private static final int NODES = 5;
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private Measure() {}

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        int rounds = Integer.parseInt(arguments[1]);
        int objects = Integer.parseInt(arguments[2]);
        awaitSync(port + 1);
        for (int i = 0; i < 20; i++) {
            exact(port, "/warm/" + i, new ArrayList<>(), new ArrayList<>());
        }
        List<Double> answered = new ArrayList<>();
        List<Double> missed = new ArrayList<>();
        for (int i = 0; i < rounds; i++) {
            exact(port, "/exact/" + i, answered, missed);
        }
        print("a key, answered", answered);
        print("a key, missed on " + NODES + " nodes", missed);
        fill(port, "/one/", 1);
        fill(port, "/many/", objects);
        List<Double> one = new ArrayList<>();
        List<Double> many = new ArrayList<>();
        for (int i = 0; i < rounds; i++) {
            one.add(purge(port, "{\"prefix\": \"/one/\"}"));
            many.add(purge(port, "{\"prefix\": \"/many/\"}"));
        }
        print("a prefix with 1 object, answered", one);
        print("a prefix with " + objects + " objects, answered", many);
        System.out.println("  and " + (cache(port, 1, "/many/" + (objects - 1)).join().equals("MISS") ? "it is gone" : "IT IS NOT GONE"));
    }

    private static void awaitSync(int port) throws InterruptedException {
        for (int i = 1; i <= NODES; i++) {
            while (!metrics(i, port).contains("\natoll_agent_purges_in_sync 1.0")) {
                Thread.sleep(100);
            }
        }
    }

    private static String metrics(int node, int port) throws InterruptedException {
        try {
            return CLIENT.send(HttpRequest.newBuilder(URI.create("http://127.2.0." + node + ":" + port + "/metrics")).build(),
                    HttpResponse.BodyHandlers.ofString()).body();
        } catch (java.io.IOException e) {
            return "";
        }
    }

    private static CompletableFuture<String> cache(int port, int node, String path) {
        return CLIENT.sendAsync(HttpRequest.newBuilder(URI.create("http://127.2.0." + node + ":" + port + path)).build(),
                HttpResponse.BodyHandlers.discarding()).thenApply(response -> response.headers().firstValue("X-Cache").orElse(""));
    }

    private static List<String> all(int port, String path) {
        List<CompletableFuture<String>> answers = new ArrayList<>();
        for (int node = 1; node <= NODES; node++) {
            answers.add(cache(port, node, path));
        }
        return answers.stream().map(CompletableFuture::join).toList();
    }

    /** Milliseconds until the answer; fails unless it says that all nodes are done. */
    private static double purge(int port, String body) throws Exception {
        long start = System.nanoTime();
        HttpResponse<String> answer = CLIENT.send(HttpRequest.newBuilder(URI.create("http://127.2.0.1:" + (port + 1) + "/v1/purge"))
                .POST(HttpRequest.BodyPublishers.ofString(body)).build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException(answer.statusCode() + " " + answer.body());
        }
        return (System.nanoTime() - start) / 1e6;
    }

    private static void exact(int port, String path, List<Double> answered, List<Double> missed) throws Exception {
        all(port, path);
        if (!all(port, path).equals(java.util.Collections.nCopies(NODES, "HIT"))) {
            throw new IllegalStateException(path + " is not in all caches");
        }
        long start = System.nanoTime();
        answered.add(purge(port, "{\"key\": \"" + path + "\"}"));
        List<String> after = all(port, path);
        missed.add((System.nanoTime() - start) / 1e6);
        if (!after.equals(java.util.Collections.nCopies(NODES, "MISS"))) {
            throw new IllegalStateException("after the answer: " + after);
        }
    }

    private static void fill(int port, String prefix, int objects) throws InterruptedException {
        Semaphore slots = new Semaphore(64);
        for (int i = 0; i < objects; i++) {
            slots.acquire();
            cache(port, 1, prefix + i).whenComplete((answer, problem) -> slots.release());
        }
        slots.acquire(64);
    }

    private static void print(String what, List<Double> times) {
        List<Double> sorted = times.stream().sorted().toList();
        System.out.printf("  %-44s median %6.1f ms, 95 %% %6.1f ms, worst %6.1f ms%n", what, sorted.get(sorted.size() / 2),
                sorted.get((int) (sorted.size() * 0.95)), sorted.get(sorted.size() - 1));
    }
}
