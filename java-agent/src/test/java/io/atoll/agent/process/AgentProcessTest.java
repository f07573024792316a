package io.atoll.agent.process;

import static io.atoll.agent.testing.ScriptedServer.always;
import static io.atoll.agent.testing.ScriptedServer.response;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

import javax.net.ServerSocketFactory;

import io.atoll.agent.os.Posix;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.DatagramSocket;
import io.atoll.agent.testing.ScriptedServer;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** dist/atoll-agent.jar as a process: signals, exit codes, the service manager, the CLI. */
class AgentProcessTest {
    private static final Path JAR = Path.of(System.getProperty("atoll.root"), "dist/atoll-agent.jar");

    @TempDir
    Path folder;
    private final List<Process> processes = new ArrayList<>();
    private ScriptedServer well;
    private InetSocketAddress dead;
    private Path config;
    private int port;

    @BeforeEach
    void start() throws Exception {
        well = new ScriptedServer(always(response(200, "x")));
        try (ServerSocket one = new ServerSocket(0); ServerSocket two = new ServerSocket(0)) {
            dead = new InetSocketAddress("127.0.0.1", one.getLocalPort());
            port = two.getLocalPort();
        }
        config = Files.writeString(folder.resolve("agent.conf"), """
                atoll {
                  zone = "%s/nginx.zone"
                  heartbeat = 100 ms
                  lease = 3 s
                  api.listen = "127.0.0.1:%d"
                  store.path = "%s/journal"
                }
                """.formatted(folder, port, folder));
    }

    @AfterEach
    void stop() throws Exception {
        for (Process process : processes) {
            process.destroyForcibly().waitFor();
        }
        well.close();
    }

    private ZoneFixture zone() throws IOException {
        return ZoneFixture.create(folder.resolve("nginx.zone"), new ProbeSpec(ZoneLayout.ProbeKind.HTTP, "/", 100, 900,
                2, 3), 60_000, Server.at(well.address()), Server.at(dead));
    }

    private Process run(String notifySocket, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + File.separator + "bin/java",
                "-XX:TieredStopAtLevel=1", "-jar", JAR.toString()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log().toFile()));
        builder.environment().remove("NOTIFY_SOCKET");
        if (!notifySocket.isEmpty()) {
            builder.environment().put("NOTIFY_SOCKET", notifySocket);
            builder.environment().put("WATCHDOG_USEC", "400000");
        }
        return start(builder);
    }

    private Process start(ProcessBuilder builder) throws IOException {
        Process process = builder.start();
        processes.add(process);
        return process;
    }

    private Process agent() throws IOException {
        return run("", "--config", config.toString());
    }

    private Path log() {
        return folder.resolve("out");
    }

    private String output() {
        try {
            return Files.readString(log());
        } catch (IOException e) {
            return "";
        }
    }

    private int exit(Process process) throws InterruptedException {
        assertTrue(process.waitFor(30, TimeUnit.SECONDS), this::output);
        return process.exitValue();
    }

    private static void signal(Process process, String name) throws Exception {
        assertEquals(0, new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor());
    }

    private void awaitDown(ZoneFixture zone) {
        Await.until("the dead peer down", () -> zone.stands(1, Reason.PROBE), this::output);
    }

    private static void stopPastItsLease(Process agent, ZoneFixture zone) throws Exception {
        signal(agent, "STOP");
        long last = zone.word(1, Reason.PROBE);
        Await.until("the end of the lease", () -> Posix.monotonicMs() > last);
    }

    @Test
    void shouldEndWithZeroOnSigtermAndSayWhatItLeaves() throws Exception {
        ZoneFixture zone = zone();
        Process agent = agent();
        awaitDown(zone);
        signal(agent, "TERM");
        assertEquals(0, exit(agent), this::output);
        assertTrue(output().contains("stopped; verdicts run out"), this::output);
        assertEquals(0, zone.zone().agentPid());
        assertTrue(zone.word(1, Reason.PROBE) != 0);
    }

    @Test
    void shouldBeTakenUpByItsSuccessorAfterKill9() throws Exception {
        /* longer than a JVM takes to start on a busy machine */
        Files.writeString(config, Files.readString(config).replace("lease = 3 s", "lease = 60 s"));
        ZoneFixture zone = zone();
        Process first = agent();
        awaitDown(zone);
        Process drain = run("", "drain", "caches", ZoneFixture.text(well.address()), "--config", config.toString(),
                "--note", "while testing");
        assertEquals(0, exit(drain), this::output);
        assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
        first.destroyForcibly().waitFor();
        int transitions = count("is down:");
        assertEquals(1, transitions, this::output);
        Process second = agent();
        Await.until("the second agent", () -> zone.zone().agentPid() == second.pid(), this::output);
        assertEquals(2, zone.zone().agentEpoch());
        long standing = zone.word(1, Reason.PROBE);
        Await.until("a renewal", () -> Long.compareUnsigned(zone.word(1, Reason.PROBE), standing) > 0, this::output);
        assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
        assertEquals(transitions, count("is down:"), "no transition by the restart");
    }

    private int count(String text) {
        return (int) output().lines().filter(line -> line.contains(text)).count();
    }

    @Test
    void shouldLetItsVerdictsRunOutWhileStoppedAndRenewThemAfterwards() throws Exception {
        ZoneFixture zone = zone();
        Process agent = agent();
        awaitDown(zone);
        stopPastItsLease(agent, zone);
        assertFalse(zone.stands(1, Reason.PROBE));
        signal(agent, "CONT");
        awaitDown(zone);
        assertEquals(1, count("is down:"), this::output);
        assertEquals(1, count("attached as agent"), this::output);
    }

    @Test
    void shouldNotBringBackAVerdictAboutAPeerThatGotWellWhileItWasStopped() throws Exception {
        ZoneFixture zone = zone();
        Process agent = agent();
        awaitDown(zone);
        stopPastItsLease(agent, zone);
        try (ScriptedServer again = new ScriptedServer(ServerSocketFactory.getDefault(), dead.getPort(),
                always(response(200, "x")))) {
            signal(agent, "CONT");
            Await.until("the peer to be found well", () -> {
                assertFalse(zone.stands(1, Reason.PROBE), this::output);
                return count("is up after") == 1 && again.accepted() > 0;
            }, this::output);
            assertEquals(0, zone.rampStart(1), "it served already");
        }
    }

    @Test
    void shouldWriteNothingAfterAStopDuringWhichAnotherTookTheZone() throws Exception {
        ZoneFixture zone = zone();
        Process agent = agent();
        awaitDown(zone);
        signal(agent, "STOP");
        long epoch = zone.claim(ProcessHandle.current().pid(), Posix.processStart(ProcessHandle.current().pid()));
        zone.setWord(1, Reason.PROBE, 0);
        signal(agent, "CONT");
        Await.until("standby", () -> {
            zone.heartbeat();
            return output().contains("STANDBY");
        }, this::output);
        assertEquals(0, zone.word(1, Reason.PROBE), "the newer verdict stands");
        assertEquals(epoch, zone.zone().agentEpoch());
    }

    @Test
    void shouldTellTheServiceManager() throws Exception {
        zone();
        String name = "@atoll-agent-test-" + ProcessHandle.current().pid();
        try (DatagramSocket manager = new DatagramSocket(name)) {
            Process agent = run(name, "--config", config.toString());
            assertEquals("READY=1\nSTATUS=1 of 1 zones attached, API on 127.0.0.1:" + port, awaited(manager, "READY"));
            assertEquals("WATCHDOG=1", awaited(manager, "WATCHDOG"));
            signal(agent, "TERM");
            assertEquals("STOPPING=1", awaited(manager, "STOPPING"));
            assertEquals(0, exit(agent));
        }
    }

    private static String awaited(DatagramSocket manager, String word) {
        String message;
        do {
            message = manager.receive();
        } while (!message.startsWith(word));
        return message;
    }

    @Test
    void shouldNotStartOnAWrongConfiguration() throws Exception {
        Path wrong = Files.writeString(folder.resolve("wrong.conf"), "atoll {\n  leese = 10 s\n}\n");
        assertEquals(2, exit(run("", "--config", wrong.toString())));
        assertTrue(output().contains("wrong.conf:2: atoll.leese is not a setting; expected lease (nearest)"), this::output);
        assertEquals(2, exit(run("", "check", "--config", wrong.toString())));
        assertEquals(0, exit(run("", "check", "--config", config.toString())));
        assertEquals(2, exit(run("", "--confg", "x")));
    }

    @Test
    void shouldNotStartBesideAnotherWithItsJournalOrItsPort() throws Exception {
        ZoneFixture zone = zone();
        Process first = agent();
        awaitDown(zone);
        assertEquals(1, exit(agent()));
        assertTrue(output().contains("journal.lock is held by another running agent"), this::output);
        Path other = Files.writeString(folder.resolve("other.conf"),
                Files.readString(config).replace("/journal", "/journal2"));
        assertEquals(1, exit(run("", "--config", other.toString())));
        assertTrue(output().contains("atoll.api.listen is 127.0.0.1:" + port + ", where the agent cannot listen"),
                this::output);
        assertTrue(first.isAlive());
        assertEquals(first.pid(), zone.zone().agentPid());
    }

    @Test
    void shouldShowATableInTheTerminal() throws Exception {
        ZoneFixture zone = zone();
        agent();
        awaitDown(zone);
        assertEquals(0, exit(run("", "status", "--config", config.toString())), this::output);
        List<String> lines = output().lines().toList();
        assertTrue(lines.stream().anyMatch(line -> line.matches("NODE +UPSTREAM +SERVER +ADDRESS +STATE .*")), this::output);
        assertTrue(lines.stream().anyMatch(line -> line.matches("edge1 +caches +" + ZoneFixture.text(well.address())
                + " +up .*")), this::output);
        assertTrue(lines.stream().anyMatch(line -> line.matches("edge1 +caches +" + ZoneFixture.text(dead)
                + " +down .*probe: connection refused")), this::output);
        assertEquals(0, exit(run("", "owner", "caches", "/x", "--api", "http://127.0.0.1:" + port)), this::output);
        assertEquals(0, exit(run("", "hot", "--config", config.toString())), this::output);
        assertTrue(output().lines().anyMatch(line -> line.matches("NODE +UPSTREAM +HASH +PEERS +SHARE +RATE *")), this::output);
        assertEquals(1, exit(run("", "undrain", "caches", "nobody:1", "--config", config.toString())));
        assertTrue(output().contains("No peer nobody:1 in upstream caches"), this::output);
        assertEquals(1, exit(run("", "peers", "--api", "http://127.0.0.1:1")));
        assertTrue(output().contains("No answer from an agent at http://127.0.0.1:1"), this::output);
    }

    @Test
    void shouldSayInOneLineWhyItCannotStart() throws Exception {
        Files.writeString(config, Files.readString(config) + "atoll.mesh.agents = [\"http://127.0.0.1:1\"]\n");
        ProcessBuilder builder = new ProcessBuilder(System.getProperty("java.home") + File.separator + "bin/java",
                "-Djavax.net.ssl.trustStoreType=none", "-jar", JAR.toString(), "--config", config.toString());
        assertEquals(1, exit(start(builder.redirectErrorStream(true).redirectOutput(log().toFile()))), this::output);
        assertEquals(1, count("The agent cannot start: "), this::output);
        assertEquals(0, count("\tat "), this::output);
    }
}
