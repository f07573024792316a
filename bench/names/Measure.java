import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** The name server and the watch of bench/names/run: AGENT-JAR FOLDER PORT NAMES SECONDS. */
public final class Measure {
    private static final int TTL = 10;
    private static final int LATENCY_MS = 2;
    private static final int TICKS = 100;

    private final Path folder;
    private final int port;
    private final int names;
    private final int seconds;
    private final String jar;
    private final ScheduledExecutorService answers = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    });
    private final HttpClient client = HttpClient.newHttpClient();

    // Of the name server; guarded by this.
    private List<Long> asked = new ArrayList<>();
    private boolean[] known;
    private int left;
    private int inFlight;
    private int mostInFlight;
    private long lastNs;
    private boolean turns;
    private int turn;

    private Measure(String[] args) {
        jar = args[0];
        folder = Path.of(args[1]);
        port = Integer.parseInt(args[2]);
        names = Integer.parseInt(args[3]);
        seconds = Integer.parseInt(args[4]);
    }

    public static void main(String[] args) throws Exception {
        Measure measure = new Measure(args);
        measure.serve();
        measure.agent(false);
        measure.agent(true);
        System.exit(0);
    }

    // ---- the name server: UDP, A records of name-N.example, no other

    private void serve() throws IOException {
        DatagramSocket socket = new DatagramSocket(new InetSocketAddress("127.0.0.1", port + 2));
        socket.setReceiveBufferSize(4 << 20);
        Thread thread = new Thread(() -> {
            byte[] bytes = new byte[1500];
            while (true) {
                try {
                    DatagramPacket query = new DatagramPacket(bytes, bytes.length);
                    socket.receive(query);
                    byte[] answer = answer(Arrays.copyOf(bytes, query.getLength()));
                    DatagramPacket sent = new DatagramPacket(answer, answer.length, query.getSocketAddress());
                    answers.schedule(() -> send(socket, sent), LATENCY_MS, TimeUnit.MILLISECONDS);
                } catch (IOException e) {
                    throw new IllegalStateException(e);
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private void send(DatagramSocket socket, DatagramPacket answer) {
        synchronized (this) {
            inFlight--;
        }
        try {
            socket.send(answer);
        } catch (IOException e) {
            // the asker is gone
        }
    }

    private synchronized byte[] answer(byte[] query) {
        lastNs = System.nanoTime();
        asked.add(lastNs);
        mostInFlight = Math.max(mostInFlight, ++inFlight);
        int end = 12;
        while (query[end] != 0) {
            end += query[end] + 1;
        }
        int name = Integer.parseInt(new String(query, 13 + 5, query[12] - 5));
        boolean four = query[end + 2] == 1;
        if (four && !known[name]) {
            known[name] = true;
            left--;
        }
        ByteBuffer answer = ByteBuffer.allocate(512);
        answer.put(query, 0, 2).putShort((short) 0x8180).putShort((short) 1).putShort((short) (four ? 1 : 0)).putInt(0)
                .put(query, 12, end + 5 - 12);
        if (four) {
            answer.putShort((short) 0xc00c).putShort((short) 1).putShort((short) 1).putInt(TTL).putShort((short) 4)
                    .put((byte) 127).put((byte) (turns ? 5 + ++turn % 50 : 4)).put((byte) (name / 250)).put((byte) (name % 250 + 1));
        }
        return Arrays.copyOf(answer.array(), answer.position());
    }

    private synchronized void reset(boolean inTurns) {
        asked = new ArrayList<>();
        known = new boolean[names];
        left = names;
        mostInFlight = 0;
        turns = inTurns;
    }

    private synchronized int left() {
        return left;
    }

    /** Queries a second, the most in a tenth of a second, the most at a time. */
    private synchronized String queries() {
        int most = 0;
        for (int from = 0, to = 0; to < asked.size(); to++) {
            while (asked.get(to) - asked.get(from) > 100_000_000L) {
                from++;
            }
            most = Math.max(most, to - from + 1);
        }
        double span = asked.isEmpty() ? 1 : Math.max(1e-9, (asked.get(asked.size() - 1) - asked.get(0)) / 1e9);
        return String.format(Locale.ROOT, "%5d queries, %5.0f/s, most in 0.1 s %4d, at a time %3d", asked.size(), asked.size() / span, most,
                mostInFlight);
    }

    // ---- the agent

    private void agent(boolean resolves) throws Exception {
        reset(false);
        Path conf = folder.resolve("agent.conf");
        Files.writeString(conf, """
                atoll { zone = "%s/zone", api.listen = "127.0.0.1:%d", store.path = "%s/journal", log.level = warn
                        resolve { enabled = %s, servers = ["127.0.0.1:%d"], families = both } }
                """.formatted(folder, port + 1, folder, resolves, port + 2));
        Files.createFile(folder.resolve(resolves ? "none" : "nothing"));
        Process agent = new ProcessBuilder("java", "-XX:+UseSerialGC", "-Xmx128m", "-XX:MaxDirectMemorySize=64m",
                "-Djdk.net.hosts.file=" + folder.resolve("none"), "-jar", jar, "--config", conf.toString()).inheritIO().start();
        try {
            long started = System.nanoTime();
            while (resolves && left() > 0 || metric("atoll_zone_attached") < 1) {
                if (System.nanoTime() - started > 120e9) {
                    throw new IllegalStateException(left() + " names were not asked for within 2 min");
                }
                Thread.sleep(5);
            }
            if (resolves) {
                synchronized (this) {
                    System.out.printf(Locale.ROOT, "start   all %d names asked for within %.2f s of the first; %s; %.2f s of processor time since the agent's start%n",
                            names, (lastNs - asked.get(0)) / 1e9, queries(), (double) ticks(agent.pid()) / TICKS);
                }
            }
            phase(agent, resolves ? "rest" : "off", false);
            if (resolves) {
                phase(agent, "turns", true);
            }
        } finally {
            agent.destroy();
            agent.waitFor();
        }
    }

    private void phase(Process agent, String name, boolean inTurns) throws Exception {
        reset(inTurns);
        Thread.sleep(30_000);
        reset(inTurns);
        double epoch = metric("atoll_zone_epoch");
        long ticks = ticks(agent.pid());
        long from = System.nanoTime();
        Thread.sleep(seconds * 1000L);
        double spent = (System.nanoTime() - from) / 1e9;
        double share = 100.0 * (ticks(agent.pid()) - ticks) / TICKS / spent;
        System.out.printf(Locale.ROOT, "%-6s %5.1f %% of a core; %s; %.1f tables/s; %.0f names failing%n", name, share, queries(),
                (metric("atoll_zone_epoch") - epoch) / spent, metric("atoll_resolve_failing"));
    }

    private static long ticks(long pid) throws IOException {
        String stat = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
    }

    /** The sum of a metric; 0 while the agent does not answer. */
    private double metric(String name) throws InterruptedException {
        try {
            String page = client.send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + (port + 1) + "/metrics")).build(),
                    HttpResponse.BodyHandlers.ofString()).body();
            return page.lines().filter(line -> line.startsWith(name + "{") || line.startsWith(name + " "))
                    .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1))).sum();
        } catch (IOException e) {
            return 0;
        }
    }
}
