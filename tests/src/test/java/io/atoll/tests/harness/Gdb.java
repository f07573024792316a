package io.atoll.tests.harness;

import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** A debugger on a running process: stops it in a function, steps some instructions on, kills it there. */
public final class Gdb implements AutoCloseable {
    private static final Duration LIMIT = Duration.ofSeconds(30);

    private final Process process;
    private final Writer commands;
    private final Path output;
    private int marks;

    private Gdb(Scene scene, long pid) throws IOException {
        output = Files.createTempFile(scene.folder(), "gdb", ".log");
        process = new ProcessBuilder("gdb", "-q", "-nx", "-p", Long.toString(pid)).redirectErrorStream(true)
                .redirectOutput(output.toFile()).start();
        commands = new OutputStreamWriter(process.getOutputStream(), StandardCharsets.US_ASCII);
        send("set pagination off");
        send("set confirm off");
        send("set debuginfod enabled off");
        send("handle SIGHUP nostop noprint pass");
        mark();
    }

    /** Attaches; the process stands still. */
    public static Gdb attach(Scene scene, long pid) {
        try {
            return scene.keep(new Gdb(scene, pid));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** From now on children are debugged too, and the one that meets a breakpoint stops; the parent runs free. */
    public void followChildren() {
        send("set follow-fork-mode child");
        send("set detach-on-fork on");
    }

    /** Sets a breakpoint and lets the process run on. */
    public void breakAt(String function) {
        send("break " + function);
        mark();
        if (!text().contains("Breakpoint 1 at")) {
            throw new AssertionError("no such function: " + text());
        }
        send("continue");
    }

    /** Waits until the breakpoint is met. */
    public void awaitBreak() {
        Await.until("the breakpoint", LIMIT, () -> text().contains("hit Breakpoint 1, ")
                || text().contains("\nBreakpoint 1, "));
        send("delete");
        mark();
    }

    /** Runs that many machine instructions on. */
    public void step(int instructions) {
        if (instructions > 0) {
            send("stepi " + instructions);
            mark();
        }
    }

    /** Kills the process that stands still, without a further instruction. */
    public void kill() {
        send("kill");
        mark();
    }

    @Override
    public void close() {
        if (!process.isAlive()) {
            return;
        }
        send("quit");
        Await.until("gdb to end", LIMIT, () -> !process.isAlive());
    }

    /** Waits until everything sent so far has been carried out. */
    private void mark() {
        String mark = "mark-" + ++marks + "-reached";
        send("echo " + mark + "\\n");
        Await.until("gdb to carry out the commands before " + mark + " in " + output, LIMIT,
                () -> text().contains(mark));
    }

    private void send(String command) {
        try {
            commands.write(command + "\n");
            commands.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(text(), e);
        }
    }

    private String text() {
        try {
            return Files.readString(output);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
