package io.atoll.tests.harness;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/**
 * One test's stage: a folder, loopback addresses that no other scene uses, and all processes that were started on it.
 * A test gets it as a parameter; {@link SceneExtension} closes it.
 */
public final class Scene {
    private static final AtomicInteger NUMBER = new AtomicInteger((int) (ProcessHandle.current().pid() * 37 % 200));

    private final Path folder;
    private final int number = NUMBER.incrementAndGet();
    private final Deque<AutoCloseable> things = new ArrayDeque<>();

    Scene(String name) throws IOException {
        String safe = name.replaceAll("[^A-Za-z]", "");
        folder = Files.createTempDirectory("atoll-" + safe.substring(0, Math.min(20, safe.length())) + "-");
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /** Where the scene's files lie; the workers of nginx may read there. */
    public Path folder() {
        return folder;
    }

    /** A file of that name in the scene's folder. */
    public Path file(String name) {
        return folder.resolve(name);
    }

    /** A loopback address of this scene, by a number from 1 to 254. */
    public String address(int i) {
        return "127." + (2 + number / 200 % 200) + "." + (10 + number % 200) + "." + i;
    }

    /** Closes it at the end of the scene, the last one kept first. */
    public <T extends AutoCloseable> T keep(T thing) {
        things.push(thing);
        return thing;
    }

    /** Prints a figure of the scene. */
    public static void print(String format, Object... arguments) {
        System.out.println("  " + String.format(format, arguments));
    }

    /** Ends all processes. The first complaint of theirs is thrown, the rest is attached to it. */
    void close() throws Exception {
        Throwable first = null;
        while (!things.isEmpty()) {
            try {
                things.pop().close();
            } catch (Exception | AssertionError e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (first instanceof Error error) {
            throw error;
        }
        if (first != null) {
            throw (Exception) first;
        }
    }

    void delete() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path path : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
