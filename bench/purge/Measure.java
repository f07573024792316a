import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** The client of bench/purge/run: PORT ROUNDS OBJECTS. One thread, a kept connection to each nginx and agent, nothing but sockets. */
public final class Measure {
    private static final int NODES = 5;
    private static final int AHEAD = 32;

    /** A kept connection, HTTP/1.1; several requests may be on their way. */
    private static final class Connection implements AutoCloseable {
        private final String host;
        private final Socket socket = new Socket();
        private final InputStream in;

        Connection(int node, int port) throws IOException {
            host = "127.2.0." + node + ":" + port;
            socket.setTcpNoDelay(true);
            socket.connect(new InetSocketAddress("127.2.0." + node, port), 1000);
            in = new BufferedInputStream(socket.getInputStream(), 16384);
        }

        void send(String method, String target, String body) throws IOException {
            socket.getOutputStream().write((method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + body.length()
                    + "\r\n\r\n" + body).getBytes(StandardCharsets.ISO_8859_1));
        }

        /** Reads an answer: the value of X-Cache, or the body where there is none. Fails unless it is a 200. */
        String answer() throws IOException {
            String status = line();
            String cache = null;
            int length = 0;
            for (String line = line(); !line.isEmpty(); line = line()) {
                String name = line.substring(0, line.indexOf(':'));
                String value = line.substring(line.indexOf(':') + 1).trim();
                if (name.equalsIgnoreCase("X-Cache")) {
                    cache = value;
                } else if (name.equalsIgnoreCase("Content-Length")) {
                    length = Integer.parseInt(value);
                }
            }
            String body = new String(in.readNBytes(length), StandardCharsets.UTF_8);
            if (!status.startsWith("HTTP/1.1 200 ")) {
                throw new IllegalStateException(host + ": " + status + " " + body);
            }
            return cache == null ? body : cache;
        }

        private String line() throws IOException {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            for (int c = in.read(); c != '\n'; c = in.read()) {
                if (c < 0) {
                    throw new IOException(host + " closed the connection");
                }
                if (c != '\r') {
                    line.write(c);
                }
            }
            return line.toString(StandardCharsets.ISO_8859_1);
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    private final List<Connection> caches = new ArrayList<>();
    private final int port;
    private Connection agent;

    private Measure(int port) throws IOException {
        this.port = port;
        for (int node = 1; node <= NODES; node++) {
            caches.add(new Connection(node, port));
        }
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        int rounds = Integer.parseInt(arguments[1]);
        int objects = Integer.parseInt(arguments[2]);
        for (int node = 1; node <= NODES; node++) {
            awaitSync(node, port + 1);
        }
        new Measure(port).run(rounds, objects);
    }

    private void run(int rounds, int objects) throws IOException {
        agent = new Connection(1, port + 1);
        for (int i = 0; i < 20; i++) {
            exact("/warm/" + i, new ArrayList<>(), new ArrayList<>());
        }
        List<Double> answered = new ArrayList<>();
        List<Double> missed = new ArrayList<>();
        for (int i = 0; i < rounds; i++) {
            exact("/exact/" + i, answered, missed);
        }
        print("a key, answered", answered);
        print("a key, missed on " + NODES + " nodes", missed);
        fill("/one/", 1);
        fill("/many/", objects);
        agent.close();      // idle for longer than the agent keeps it
        agent = new Connection(1, port + 1);
        List<Double> one = new ArrayList<>();
        List<Double> many = new ArrayList<>();
        for (int i = 0; i < rounds; i++) {
            one.add(purge("{\"prefix\": \"/one/\"}"));
            many.add(purge("{\"prefix\": \"/many/\"}"));
            if (i == 0) {
                check(objects);
            }
        }
        print("a prefix with 1 object, answered", one);
        print("a prefix with " + objects + " objects, answered", many);
    }

    /** Waits until a node's agent has asked the others. */
    private static void awaitSync(int node, int port) throws InterruptedException {
        for (int i = 0; ; i++) {
            try (Connection agent = new Connection(node, port)) {
                agent.send("GET", "/metrics", "");
                if (agent.answer().contains("\natoll_agent_purges_in_sync 1.0")) {
                    return;
                }
            } catch (IOException e) {
                if (i == 600) {
                    throw new IllegalStateException("no agent at node " + node, e);
                }
            }
            Thread.sleep(100);
        }
    }

    private List<String> all(String path) throws IOException {
        for (Connection cache : caches) {
            cache.send("GET", path, "");
        }
        List<String> answers = new ArrayList<>();
        for (Connection cache : caches) {
            answers.add(cache.answer());
        }
        return answers;
    }

    /** Milliseconds until the answer; fails unless it says that all nodes are done. */
    private double purge(String body) throws IOException {
        long start = System.nanoTime();
        agent.send("POST", "/v1/purge", body);
        agent.answer();
        return (System.nanoTime() - start) / 1e6;
    }

    private void exact(String path, List<Double> answered, List<Double> missed) throws IOException {
        all(path);
        if (!all(path).equals(Collections.nCopies(NODES, "HIT"))) {
            throw new IllegalStateException(path + " is not in all caches");
        }
        long start = System.nanoTime();
        answered.add(purge("{\"key\": \"" + path + "\"}"));
        List<String> after = all(path);
        missed.add((System.nanoTime() - start) / 1e6);
        if (!after.equals(Collections.nCopies(NODES, "MISS"))) {
            throw new IllegalStateException("after the answer: " + after);
        }
    }

    /** Has the first cache store objects, and fails unless it has all. */
    private void fill(String prefix, int objects) throws IOException {
        each(prefix, objects, "MISS");
        each(prefix, objects, "HIT");
    }

    /** Every hundredth of the many has to be gone. */
    private void check(int objects) throws IOException {
        for (int i = 0; i < objects; i += 100) {
            caches.get(0).send("GET", "/many/" + i, "");
            if (!caches.get(0).answer().equals("MISS")) {
                throw new IllegalStateException("/many/" + i + " is there after the purge of its prefix");
            }
        }
    }

    private void each(String prefix, int objects, String expected) throws IOException {
        Connection cache = caches.get(0);
        int answered = 0;
        for (int sent = 0; answered < objects; answered++) {
            while (sent < objects && sent < answered + AHEAD) {
                cache.send("GET", prefix + sent++, "");
            }
            String answer = cache.answer();
            if (!answer.equals(expected)) {
                throw new IllegalStateException(prefix + answered + " is a " + answer + ", not a " + expected);
            }
        }
    }

    private static void print(String what, List<Double> times) {
        List<Double> sorted = times.stream().sorted().toList();
        System.out.printf("  %-44s median %6.1f ms, 95 %% %6.1f ms, worst %6.1f ms%n", what, sorted.get(sorted.size() / 2),
                sorted.get((int) (sorted.size() * 0.95)), sorted.get(sorted.size() - 1));
    }
}
