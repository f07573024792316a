package io.atoll.tests.faults;

import java.io.IOException;
import java.lang.instrument.Instrumentation;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import net.bytebuddy.agent.builder.AgentBuilder;
import net.bytebuddy.asm.Advice;
import net.bytebuddy.matcher.ElementMatchers;

/**
 * A Java agent that breaks the running Atoll agent from inside, a fault at a time: attached with the argument {@code +NAME} or
 * {@code -NAME}. Used by scenes through {@link FaultInjector}; for drills, it can be attached by hand in the same way.
 */
public final class Faults {
    /** The journal's disk is full. */
    public static final String JOURNAL = "journal";
    /** Work of the heartbeat throws. */
    public static final String BEAT = "beat";
    /** Every probe is taken for a failure. */
    public static final String LIE = "lie";

    private static final Set<String> ON = ConcurrentHashMap.newKeySet();
    private static boolean installed;

    private Faults() {
    }

    /** Entry point of the attach mechanism. */
    public static synchronized void agentmain(String argument, Instrumentation instrumentation) {
        if (!installed) {
            install(instrumentation);
            installed = true;
        }
        String name = argument.substring(1);
        if (argument.charAt(0) == '+') {
            ON.add(name);
        } else {
            ON.remove(name);
        }
    }

    private static void install(Instrumentation instrumentation) {
        new AgentBuilder.Default()
                .disableClassFormatChanges()
                .with(AgentBuilder.RedefinitionStrategy.RETRANSFORMATION)
                .type(ElementMatchers.named("io.atoll.agent.store.JournalFile"))
                .transform((builder, type, loader, module, domain) -> builder
                        .visit(Advice.to(FullDisk.class).on(ElementMatchers.named("write"))))
                .type(ElementMatchers.named("io.atoll.agent.zone.ZoneAgent"))
                .transform((builder, type, loader, module, domain) -> builder
                        .visit(Advice.to(BrokenBeat.class).on(ElementMatchers.named("beat"))))
                .type(ElementMatchers.named("io.atoll.core.liveness.PeerHealth"))
                .transform((builder, type, loader, module, domain) -> builder
                        .visit(Advice.to(Lie.class).on(ElementMatchers.named("onResult"))))
                .installOn(instrumentation);
    }

    /** Whether a fault is on; called by the code that is woven in. */
    public static boolean isOn(String name) {
        return ON.contains(name);
    }

    /** See {@link #JOURNAL}. */
    static final class FullDisk {
        private FullDisk() {
        }

        @Advice.OnMethodEnter
        static void enter() throws IOException {
            if (Faults.isOn("journal")) {
                throw new IOException("No space left on device (injected)");
            }
        }
    }

    /** See {@link #BEAT}. */
    static final class BrokenBeat {
        private BrokenBeat() {
        }

        @Advice.OnMethodEnter
        static void enter() {
            if (Faults.isOn("beat")) {
                throw new IllegalStateException("broken heartbeat (injected)");
            }
        }
    }

    /** See {@link #LIE}. */
    static final class Lie {
        private Lie() {
        }

        @Advice.OnMethodEnter
        static void enter(@Advice.Argument(value = 0, readOnly = false) boolean good) {
            if (Faults.isOn("lie")) {
                good = false;
            }
        }
    }
}
