package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A process that has the publisher's lock of a zone file, as a stopped agent would, until it is killed. */
public final class LockHolder implements AutoCloseable {
    private final Process process;

    private LockHolder(Process process) {
        this.process = process;
    }

    /** Takes the lock. */
    public static LockHolder of(Path zone) {
        try {
            Process process = new ProcessBuilder(ProcessHandle.current().info().command().orElse("java"), "-cp",
                    System.getProperty("java.class.path"), LockHolder.class.getName(), zone.toString())
                    .redirectErrorStream(true).start();
            int first = process.getInputStream().read();
            if (first != 'L') {
                throw new AssertionError("no lock on " + zone + ": " + (char) first
                        + new String(process.getInputStream().readAllBytes()));
            }
            return new LockHolder(process);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Its process id. */
    public long pid() {
        return process.pid();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }

    /** The process itself. */
    public static void main(String[] arguments) throws IOException {
        try (FileChannel file = FileChannel.open(Path.of(arguments[0]), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            file.lock(0, 1, false);
            System.out.print("L");
            System.out.flush();
            System.in.read();
        }
    }
}
