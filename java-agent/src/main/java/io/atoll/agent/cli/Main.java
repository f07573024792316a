package io.atoll.agent.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.security.Security;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;

import io.atoll.agent.Agent;
import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.config.ConfigProblems;
import io.atoll.agent.log.Logging;
import io.atoll.agent.os.ServiceManager;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;

/** The program: runs the agent, or asks a running one. */
@Command(name = "atoll-agent", versionProvider = Main.Version.class, mixinStandardHelpOptions = true,
        description = "Runs the Atoll agent, or, with a command, asks the one that runs.",
        subcommands = {Main.Run.class, StatusCommand.class, PeersCommand.class, HotCommand.class, OwnerCommand.class, NamesCommand.class,
            ChangeCommand.Drain.class, ChangeCommand.Undrain.class, ChangeCommand.Maintenance.class,
            MembersCommand.Show.class, MembersCommand.Add.class, MembersCommand.Remove.class, MembersCommand.Weight.class,
            MembersCommand.Reset.class, PurgeCommand.class, PurgesCommand.class, CheckCommand.class},
        footer = {"", "Exit code: 0 done, 1 not done, 2 wrong use or configuration.", ""})
public final class Main implements Callable<Integer> {
    /** Exit code for a wrong configuration; picocli's for wrong use is the same. */
    static final int WRONG = 2;

    @Option(names = "--config", paramLabel = "FILE", description = "The agent's settings; without it, the defaults.")
    private Path config;

    /** Begins. */
    public static void main(String[] arguments) {
        Logging.prepare();
        System.exit(new CommandLine(new Main()).setCaseInsensitiveEnumValuesAllowed(true).execute(arguments));
    }

    @Override
    public Integer call() throws InterruptedException {
        return run(config);
    }

    /** The version of the build. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"atoll-agent " + Agent.version()};
        }
    }

    /** The default, by name. */
    @Command(name = "run", mixinStandardHelpOptions = true, description = "Run the agent (the default).")
    static final class Run implements Callable<Integer> {
        @Option(names = "--config", paramLabel = "FILE", description = "The agent's settings; without it, the defaults.")
        private Path config;

        @Override
        public Integer call() throws InterruptedException {
            return run(config);
        }
    }

    /** Returns only when the agent cannot start; a signal ends the process with 0 once the agent has stopped. */
    private static int run(Path file) throws InterruptedException {
        // Each name is asked for when it is to be, not every 30 s at most; the system's resolver caches.
        Security.setProperty("networkaddress.cache.ttl", "0");
        Security.setProperty("networkaddress.cache.negative.ttl", "0");
        AgentConfig config;
        try {
            config = AgentConfig.read(file);
        } catch (ConfigProblems e) {
            e.problems().forEach(System.err::println);
            return WRONG;
        }
        Logging.start(config.logLevel().level());
        Agent agent = null;
        try {
            agent = new Agent(config, new ServiceManager(System.getenv()));
            stopOnSignal(agent);
            agent.start();
        } catch (IOException e) {
            giveUp(e.getMessage());
        } catch (RuntimeException | LinkageError e) {
            Throwable cause = e instanceof CompletionException && e.getCause() != null ? e.getCause() : e;
            giveUp("The agent cannot start: " + cause + where(cause));
        }
        new CountDownLatch(1).await();
        return 0;
    }

    private static void giveUp(String why) {
        LoggerFactory.getLogger("io.atoll.agent").error(why);
        // Not by way of the hook, which ends with 0.
        Runtime.getRuntime().halt(1);
    }

    private static String where(Throwable problem) {
        return problem.getStackTrace().length == 0 ? "" : ", at " + problem.getStackTrace()[0];
    }

    private static void stopOnSignal(Agent agent) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            agent.close();
            System.err.flush();
            // The JVM would end with 128 + the signal's number; a service that stopped as asked ends with 0.
            Runtime.getRuntime().halt(0);
        }, "stop"));
    }
}
