package io.atoll.agent.config;

import java.util.List;

/** A configuration that cannot be used. Each problem is one sentence: file, line, key, what was found and expected. */
public final class ConfigProblems extends Exception {
    private static final long serialVersionUID = 1;

    private final transient List<String> problems;

    public ConfigProblems(List<String> problems) {
        super(String.join("\n", problems));
        this.problems = List.copyOf(problems);
    }

    public List<String> problems() {
        return problems;
    }
}
