package io.atoll.tests.harness;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The agent's classes in a class-data archive (JEP 350), which an agent of no scene leaves at its end. It takes a run two seconds, and
 * each later start of an agent a third less CPU time.
 */
final class ClassArchive {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String TOKEN = "secret-of-no-scene";
    private static final Path FILE = write();

    private ClassArchive() {
    }

    /** Options of the JVM that use it. One that it does not fit starts without it, as all do when it could not be made. */
    static List<String> options() {
        return FILE == null ? List.of() : List.of("-Xshare:auto", "-XX:SharedArchiveFile=" + FILE);
    }

    private static Path write() {
        try {
            Path folder = RunFiles.folder("classes");
            Path file = folder.resolve("atoll-agent.jsa");
            long pid = ProcessHandle.current().pid();
            String listen = "127.1." + pid / 250 % 250 + "." + (1 + pid % 250) + ":9181";
            Files.writeString(folder.resolve("token"), TOKEN);
            Files.writeString(folder.resolve("agent.conf"), """
                    atoll {
                      zone = ["%1$s/zone"]
                      api { listen = "%2$s", token-file = "%1$s/token" }
                      store { path = "%1$s/agent.journal" }
                    }
                    """.formatted(folder, listen));
            List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java")));
            command.addAll(Agent.QUICK_START);
            command.addAll(List.of("-XX:ArchiveClassesAtExit=" + file, "-jar", Dist.agent().toString(), "--config",
                    folder.resolve("agent.conf").toString()));
            Process process = new ProcessBuilder(command).redirectErrorStream(true)
                    .redirectOutput(folder.resolve("agent.log").toFile()).start();
            try {
                Await.until("an agent of no scene to answer", LIMIT, () -> answers(listen));
                process.destroy();
                if (process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS) && Files.exists(file)) {
                    return file;
                }
            } finally {
                process.destroyForcibly();
            }
            Scene.print("no class-data archive of the agent: %s", Files.readString(folder.resolve("agent.log")));
        } catch (IOException | InterruptedException | AssertionError e) {
            Scene.print("no class-data archive of the agent: %s", e);
        }
        return null;
    }

    private static boolean answers(String listen) {
        try {
            return Http.get(Http.address(listen), "/metrics").status() == 200
                    && Http.get(Http.address(listen), "/v1/status", "Authorization: Bearer " + TOKEN).status() == 200;
        } catch (IOException e) {
            return false;
        }
    }
}
