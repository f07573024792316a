package io.atoll.agent.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;

import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.config.ConfigProblems;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Looks at a configuration and runs nothing. */
@Command(name = "check", mixinStandardHelpOptions = true, description = "Check a configuration and run nothing.")
final class CheckCommand implements Callable<Integer> {
    @Option(names = "--config", paramLabel = "FILE", required = true, description = "The agent's settings.")
    private Path config;

    @Override
    public Integer call() {
        try {
            AgentConfig.read(config);
        } catch (ConfigProblems e) {
            e.problems().forEach(System.err::println);
            return Main.WRONG;
        }
        System.out.println(config + " is fine");
        return 0;
    }
}
