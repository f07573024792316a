package io.atoll.tests.faults;

import com.sun.tools.attach.AgentInitializationException;
import com.sun.tools.attach.AgentLoadException;
import com.sun.tools.attach.AttachNotSupportedException;
import com.sun.tools.attach.VirtualMachine;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Scene;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import net.bytebuddy.agent.builder.AgentBuilder;

/** Switches {@link Faults} on and off in the JVM of a running agent. */
public final class FaultInjector {
    private final Agent agent;
    private final Path jar;

    /** For one agent; the jar that is attached lies in the scene's folder. */
    public FaultInjector(Scene scene, Agent agent) {
        this.agent = agent;
        jar = scene.file("faults.jar");
        if (!Files.exists(jar)) {
            write(jar);
        }
    }

    /** From now on the fault is there. */
    public void start(String fault) {
        attach("+" + fault);
    }

    /** From now on it is not. */
    public void end(String fault) {
        attach("-" + fault);
    }

    private void attach(String argument) {
        try {
            VirtualMachine machine = VirtualMachine.attach(Long.toString(agent.pid()));
            try {
                machine.loadAgent(jar.toString(), argument);
            } finally {
                machine.detach();
            }
        } catch (IOException | AttachNotSupportedException | AgentLoadException | AgentInitializationException e) {
            throw new AssertionError("cannot attach to the agent: " + e, e);
        }
    }

    private static void write(Path jar) {
        Manifest manifest = new Manifest();
        Attributes attributes = manifest.getMainAttributes();
        attributes.put(Attributes.Name.MANIFEST_VERSION, "1.0");
        attributes.putValue("Agent-Class", Faults.class.getName());
        attributes.putValue("Can-Retransform-Classes", "true");
        attributes.put(Attributes.Name.CLASS_PATH, byteBuddy());
        try (OutputStream file = Files.newOutputStream(jar); JarOutputStream out = new JarOutputStream(file, manifest)) {
            for (Class<?> type : List.of(Faults.class, Faults.FullDisk.class, Faults.BrokenBeat.class, Faults.Lie.class)) {
                String name = type.getName().replace('.', '/') + ".class";
                out.putNextEntry(new JarEntry(name));
                try (InputStream in = type.getClassLoader().getResourceAsStream(name)) {
                    in.transferTo(out);
                }
                out.closeEntry();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String byteBuddy() {
        try {
            return AgentBuilder.class.getProtectionDomain().getCodeSource().getLocation().toURI().toString();
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }
}
