package io.atoll.agent.probe;

import static io.atoll.agent.testing.ScriptedServer.always;
import static io.atoll.agent.testing.ScriptedServer.response;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.FileInputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ScriptedServer;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.ProbeSettings;
import io.atoll.core.zone.ProbeSettings.Kind;
import io.atoll.core.zone.ProbeSettings.StatusRange;
import io.netty.channel.EventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Probes against servers that listen. */
class ProberTest {
    private static final int SHORT_MS = 150;
    private static final int LONG_MS = 10_000;

    private final Transport transport = new Transport(Transport.isEpollAvailable());
    private final EventLoopGroup group = transport.newLoop(new DefaultThreadFactory("probe", true));
    private final List<Probe> probes = new ArrayList<>();

    @AfterEach
    void stop() throws InterruptedException {
        CompletableFuture.runAsync(() -> probes.forEach(Probe::close), group.next()).join();
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).await();
    }

    private static ProbeSettings http(int timeoutMs) {
        return new ProbeSettings(Kind.HTTP, false, 0, 1000, timeoutMs, 2, 3, List.of(new StatusRange(200, 399)), "/ok",
                "", "");
    }

    private static ProbeSettings matching(String match) {
        return new ProbeSettings(Kind.HTTP, false, 0, 1000, LONG_MS, 2, 3, List.of(new StatusRange(200, 399)), "/ok",
                match, "");
    }

    private static ProbeSettings tcp(boolean tls, int timeoutMs) {
        return new ProbeSettings(Kind.TCP, tls, 0, 1000, timeoutMs, 2, 3, List.of(), "", "", "");
    }

    private static ProbeSettings https() {
        return new ProbeSettings(Kind.HTTP, true, 0, 1000, LONG_MS, 2, 3, List.of(new StatusRange(200, 399)), "/ok", "",
                "cache.example");
    }

    private Probe probe(SocketAddress address, ProbeSettings settings, boolean keepalive) {
        return probe(transport, group, address, settings, keepalive);
    }

    private Probe probe(Transport by, EventLoopGroup on, SocketAddress address, ProbeSettings settings,
            boolean keepalive) {
        Peer peer = new Peer(0, 1, false, 0, 0, 0, 1, "server.example:80", "address", address);
        Probe probe = new Prober(by, on.next(), keepalive).newProbe(peer, settings);
        if (probe != null) {
            probes.add(probe);
        }
        return probe;
    }

    private ProbeOutcome run(Probe probe) throws Exception {
        CompletableFuture<ProbeOutcome> outcome = new CompletableFuture<>();
        group.next().execute(() -> probe.start(outcome::complete));
        return outcome.get(20, TimeUnit.SECONDS);
    }

    private ProbeOutcome once(ScriptedServer server, ProbeSettings settings) throws Exception {
        return run(probe(server.address(), settings, false));
    }

    private static void assertFailure(String detail, ProbeOutcome outcome) {
        assertEquals(ProbeOutcome.Result.FAILURE, outcome.result(), outcome.toString());
        assertTrue(outcome.detail().contains(detail), outcome.toString());
    }

    private static void assertSuccess(ProbeOutcome outcome) {
        assertEquals(ProbeOutcome.Result.SUCCESS, outcome.result(), outcome.toString());
    }

    @Test
    void shouldJudgeByTheExpectedStatuses() throws Exception {
        int[][] cases = {{200, 1}, {204, 1}, {301, 1}, {399, 1}, {400, 0}, {404, 0}, {500, 0}, {503, 0}};
        for (int[] c : cases) {
            try (ScriptedServer server = new ScriptedServer(always(response(c[0], c[0] == 204 ? "" : "body")))) {
                ProbeOutcome outcome = once(server, http(LONG_MS));
                assertEquals(c[1] == 1, outcome.isSuccess(), c[0] + ": " + outcome);
                assertEquals(c[1] == 1 ? "" : "status " + c[0], outcome.detail());
            }
        }
    }

    @Test
    void shouldAskForTheUriWithTheServersName() throws Exception {
        try (ScriptedServer server = new ScriptedServer(always(response(200, "x")))) {
            assertSuccess(once(server, http(LONG_MS)));
            String request = server.requests().get(0);
            assertTrue(request.startsWith("GET /ok HTTP/1.1\r\n"), request);
            assertTrue(request.toLowerCase().contains("\r\nhost: server.example:80\r\n"), request);
        }
    }

    @Test
    void shouldFailWhenTheServerAcceptsAndNeverAnswers() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        try (ScriptedServer server = new ScriptedServer(connection -> over.await())) {
            assertFailure("no answer within 150 ms", once(server, http(SHORT_MS)));
            over.countDown();
        }
    }

    @Test
    void shouldFailWhenNobodyAccepts() throws Exception {
        // A full backlog: the kernel drops what comes to it, as a black hole does.
        try (ServerSocket full = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            List<SocketChannel> waiting = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                SocketChannel channel = SocketChannel.open();
                channel.configureBlocking(false);
                channel.connect(full.getLocalSocketAddress());
                waiting.add(channel);
            }
            assertFailure("no connection within 150 ms", run(probe(full.getLocalSocketAddress(), tcp(false, SHORT_MS),
                    false)));
            for (SocketChannel channel : waiting) {
                channel.close();
            }
        }
    }

    @Test
    void shouldCoverTheWholeAnswerByTheTimeout() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            connection.send("not all of it");
            connection.readRequest();
        })) {
            assertFailure("no end of the answer within 150 ms", once(server, http(SHORT_MS)));
        }
    }

    @Test
    void shouldFailWhenTheHeadDrips() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send("HTTP/1.1 200 OK\r\nContent-Le");
            connection.readRequest();
        })) {
            assertFailure("within 150 ms", once(server, http(SHORT_MS)));
        }
    }

    @Test
    void shouldNameWhyThereIsNoConnection() throws Exception {
        InetSocketAddress nobody;
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            nobody = (InetSocketAddress) socket.getLocalSocketAddress();
        }
        assertFailure("connection refused", run(probe(nobody, http(LONG_MS), false)));
        assertFailure("connection refused", run(probe(nobody, tcp(false, LONG_MS), false)));
    }

    @Test
    void shouldFailOnAReset() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.reset();
        })) {
            assertFailure("connection reset", once(server, http(LONG_MS)));
        }
    }

    @Test
    void shouldFailWhenTheConnectionEndsBeforeTheAnswerDoes() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        })) {
            assertFailure("closed before the end", once(server, http(LONG_MS)));
        }
    }

    @Test
    void shouldFailOnWhatIsNotHttp() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send("220 mail.example ESMTP\r\n\r\n");
        })) {
            assertFailure("malformed answer", once(server, http(LONG_MS)));
        }
    }

    @Test
    void shouldTakeTheFinalStatusAfterAnInterimOne() throws Exception {
        try (ScriptedServer server = new ScriptedServer(always("HTTP/1.1 103 Early Hints\r\n\r\n"
                + response(503, "")))) {
            assertFailure("status 503", once(server, http(LONG_MS)));
        }
    }

    @Test
    void shouldFindTheMatchAcrossChunksAndPackets() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n..al\r\n");
            connection.send("5\r\nl wel\r\n");
            connection.send("1\r\nl\r\n0\r\n\r\n");
        })) {
            assertSuccess(once(server, matching("all well")));
            assertFailure("body without \"all bad\"", once(server, matching("all bad")));
        }
    }

    @Test
    void shouldLookAtTheFirst64KiBOnly() throws Exception {
        String inside = "x".repeat(65_536 - 4) + "here" + "y".repeat(100_000);
        String outside = "x".repeat(65_536 - 3) + "here" + "y".repeat(100_000);
        try (ScriptedServer server = new ScriptedServer(always(response(200, inside)))) {
            assertSuccess(once(server, matching("here")));
            server.setScript(always(response(200, outside)));
            assertFailure("body without", once(server, matching("here")));
        }
    }

    @Test
    void shouldNotWaitForTheEndOfALongBody() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + "x".repeat(70_000));
            connection.readRequest();
        })) {
            assertSuccess(once(server, http(LONG_MS)));
        }
    }

    @Test
    void shouldKeepItsConnectionAndOpenOneBesideIt() throws Exception {
        try (ScriptedServer server = new ScriptedServer(always(response(200, "x")))) {
            Probe probe = probe(server.address(), http(LONG_MS), true);
            for (int i = 0; i < 5; i++) {
                assertSuccess(run(probe));
            }
            assertEquals(5, server.requests().size());
            // one that is kept, and one for each probe but the first
            Await.until("5 connections", () -> server.accepted() == 5, server::accepted);
        }
    }

    @Test
    void shouldNoticeThatNewConnectionsAreRefusedWhileAnOldOneWorks() throws Exception {
        try (ScriptedServer server = new ScriptedServer(always(response(200, "x")))) {
            Probe probe = probe(server.address(), http(LONG_MS), true);
            assertSuccess(run(probe));
            server.stopListening();
            assertFailure("connection refused", run(probe));
        }
    }

    @Test
    void shouldNoticeThatAnOldConnectionIsSilentWhileNewOnesWork() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        try (ScriptedServer server = new ScriptedServer(connection -> {
            connection.readRequest();
            connection.send(response(200, "x"));
            over.await();
        })) {
            Probe probe = probe(server.address(), http(1500), true);
            assertSuccess(run(probe));
            assertFailure("no answer within 1500 ms", run(probe));
            over.countDown();
        }
    }

    @Test
    void shouldOpenAgainWhenTheServerClosedTheKeptConnection() throws Exception {
        AtomicInteger served = new AtomicInteger();
        try (ScriptedServer server = new ScriptedServer(connection -> {
            while (connection.readRequest() != null) {
                if (served.getAndIncrement() == 1) {
                    return;
                }
                connection.send(response(200, "x"));
            }
        })) {
            Probe probe = probe(server.address(), http(LONG_MS), true);
            assertSuccess(run(probe));
            assertSuccess(run(probe));
            assertEquals(3, served.get(), "asked, asked in vain on the kept connection, asked anew");
        }
    }

    @Test
    void shouldProbeOverTls(@TempDir Path folder) throws Exception {
        SSLContext context = selfSigned(folder);
        try (ScriptedServer server = new ScriptedServer(context.getServerSocketFactory(), 0,
                always(response(200, "x")))) {
            Probe probe = probe(server.address(), https(), true);
            assertSuccess(run(probe));
            assertSuccess(run(probe));
            assertTrue(server.requests().get(0).toLowerCase().contains("\r\nhost: cache.example\r\n"));
            assertSuccess(run(probe(server.address(), tcp(true, LONG_MS), false)));
        }
    }

    @Test
    void shouldFailWhenTheServerDoesNotSpeakTls() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> connection.send("SSH-2.0-OpenSSH\r\n"))) {
            assertFailure("TLS", once(server, https()));
            assertFailure("TLS", once(server, tcp(true, LONG_MS)));
        }
    }

    private static SSLContext selfSigned(Path folder) throws Exception {
        Path store = folder.resolve("keys.p12");
        Process keytool = new ProcessBuilder(System.getProperty("java.home") + File.separator + "bin/keytool",
                "-genkeypair", "-alias", "a", "-keyalg", "EC", "-dname", "CN=self", "-storetype", "PKCS12", "-keystore",
                store.toString(), "-storepass", "changeit").redirectErrorStream(true)
                .redirectOutput(folder.resolve("keytool.log").toFile()).start();
        assertEquals(0, keytool.waitFor());
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(store.toFile())) {
            keys.load(in, "changeit".toCharArray());
        }
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(keys, "changeit".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        return context;
    }

    @Test
    void shouldCallATcpServiceWellThatAccepts() throws Exception {
        try (ScriptedServer server = new ScriptedServer(connection -> connection.readRequest())) {
            assertSuccess(once(server, tcp(false, LONG_MS)));
        }
    }

    @Test
    void shouldProbeAnotherPortThanThePeersOwn() throws Exception {
        try (ScriptedServer server = new ScriptedServer(always(response(200, "x")))) {
            ProbeSettings settings = new ProbeSettings(Kind.HTTP, false, server.address().getPort(), 1000, LONG_MS, 2, 3,
                    List.of(new StatusRange(200, 200)), "/", "", "");
            assertSuccess(run(probe(new InetSocketAddress("127.0.0.1", 1), settings, false)));
        }
    }

    @Test
    void shouldProbeAUnixSocket(@TempDir Path folder) throws Exception {
        assertTrue(Transport.isEpollAvailable(), "epoll is needed for unix sockets; the build machine must have it");
        UnixDomainSocketAddress address = UnixDomainSocketAddress.of(folder.resolve("peer.sock"));
        try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listener.bind(address);
            Thread answering = new Thread(() -> answerOnce(listener));
            answering.start();
            assertSuccess(run(probe(address, http(LONG_MS), false)));
            answering.join();
        }
        assertFailure("connection refused", run(probe(address, http(LONG_MS), false)));
        assertFailure("no such file", run(probe(UnixDomainSocketAddress.of(folder.resolve("none.sock")), http(LONG_MS),
                false)));
    }

    private static void answerOnce(ServerSocketChannel listener) {
        try (SocketChannel connection = listener.accept()) {
            connection.read(ByteBuffer.allocate(4096));
            connection.write(ByteBuffer.wrap(response(200, "x").getBytes()));
            connection.read(ByteBuffer.allocate(1));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    static Stream<Boolean> transports() {
        return Transport.isEpollAvailable() ? Stream.of(true, false) : Stream.of(false);
    }

    @ParameterizedTest
    @MethodSource("transports")
    void shouldDoTheSameOnEachTransport(boolean epoll) throws Exception {
        Transport other = new Transport(epoll);
        EventLoopGroup loop = other.newLoop(new DefaultThreadFactory("other", true));
        try (ScriptedServer server = new ScriptedServer(always(response(200, "x")))) {
            Probe probe = new Prober(other, loop.next(), true)
                    .newProbe(new Peer(0, 1, false, 0, 0, 0, 1, "s", "a", server.address()), http(LONG_MS));
            for (int i = 0; i < 3; i++) {
                CompletableFuture<ProbeOutcome> outcome = new CompletableFuture<>();
                loop.next().execute(() -> probe.start(outcome::complete));
                assertSuccess(outcome.get(20, TimeUnit.SECONDS));
            }
            server.stopListening();
            CompletableFuture<ProbeOutcome> outcome = new CompletableFuture<>();
            loop.next().execute(() -> probe.start(outcome::complete));
            assertFailure("connection refused", outcome.get(20, TimeUnit.SECONDS));
            CompletableFuture.runAsync(probe::close, loop.next()).join();
        } finally {
            loop.shutdownGracefully(0, 5, TimeUnit.SECONDS).await();
        }
    }

    @Test
    void shouldSayThatUnixSocketsNeedEpoll() {
        assertNull(probe(new Transport(false), group, UnixDomainSocketAddress.of("/run/x.sock"), http(LONG_MS), true));
    }

    @Test
    void shouldNotTellTheOutcomeOfAProbeThatWasClosed() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        try (ScriptedServer server = new ScriptedServer(connection -> over.await())) {
            Probe probe = probe(server.address(), http(SHORT_MS), true);
            List<ProbeOutcome> told = new ArrayList<>();
            CompletableFuture.runAsync(() -> {
                probe.start(told::add);
                probe.close();
            }, group.next()).join();
            CompletableFuture<Void> later = new CompletableFuture<>();
            group.next().schedule(() -> later.complete(null), 2L * SHORT_MS, TimeUnit.MILLISECONDS);
            later.get(20, TimeUnit.SECONDS);
            assertTrue(told.isEmpty(), told.toString());
            over.countDown();
        }
    }

    @Test
    void shouldHoldAnOutcomeThatWasDelayedHereAgainstNobody() throws Exception {
        CountDownLatch over = new CountDownLatch(1);
        try (ScriptedServer server = new ScriptedServer(connection -> over.await())) {
            Probe probe = probe(server.address(), http(SHORT_MS), false);
            CompletableFuture<ProbeOutcome> outcome = new CompletableFuture<>();
            group.next().execute(() -> {
                probe.start(outcome::complete);
                // The thread does nothing for longer than the timeout allows: a process that was stopped.
                long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(2 * SHORT_MS + 600);
                while (System.nanoTime() < end) {
                    Thread.onSpinWait();
                }
            });
            assertEquals(ProbeOutcome.Result.NOT_MADE, outcome.get(20, TimeUnit.SECONDS).result());
            over.countDown();
        }
    }

    @Test
    void shouldTellThisHostsTroubleFromThePeers() {
        assertEquals(ProbeOutcome.Result.NOT_MADE,
                ProbeFailure.result(new java.io.IOException("socket(..) failed: Too many open files")));
        assertEquals(ProbeOutcome.Result.NOT_MADE,
                ProbeFailure.result(new java.net.ConnectException("connect(..) failed: Cannot assign requested address")));
        assertEquals(ProbeOutcome.Result.FAILURE,
                ProbeFailure.result(new java.net.ConnectException("connect(..) failed: Connection refused")));
        assertFalse(ProbeFailure.detail(new java.io.IOException((String) null)).isEmpty());
    }

    @Test
    void shouldSendServerNamesOnlyForNames() {
        assertEquals("cache.example", PeerProbe.serverName("cache.example:443"));
        assertEquals("", PeerProbe.serverName("127.0.0.1:443"));
        assertEquals("", PeerProbe.serverName("[::1]:443"));
    }
}
