package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What /proc tells about a process. A process that is gone has no title, no children and no memory. */
public final class Proc {
    /** What a finished command left. */
    public record Result(int exit, String output) {
    }

    private Proc() {
    }

    /** Runs a command to its end, both outputs in one. */
    public static Result run(String... command) {
        return run(List.of(command));
    }

    /** Runs a command to its end, both outputs in one. */
    public static Result run(List<String> command) {
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readAllBytes());
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new AssertionError("not finished after 60 s: " + command);
            }
            return new Result(process.exitValue(), output);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** Runs a command that must succeed; returns its output. */
    public static String must(String... command) {
        Result result = run(command);
        if (result.exit != 0) {
            throw new AssertionError(String.join(" ", command) + ": exit " + result.exit + ": " + result.output);
        }
        return result.output;
    }

    /** Sends a signal by name, as `KILL`. */
    public static void signal(long pid, String name) {
        must("kill", "-" + name, Long.toString(pid));
    }

    /** Direct children of a process with one thread, zombies included. */
    public static List<Long> children(long pid) {
        String children = read(pid, "task/" + pid + "/children").trim();
        return children.isEmpty() ? List.of() : Stream.of(children.split(" ")).map(Long::valueOf).sorted().toList();
    }

    /** The command line, arguments joined by blanks; empty for a zombie or a process that is gone. */
    public static String title(long pid) {
        return read(pid, "cmdline").replace('\0', ' ').trim();
    }

    /** State letter of /proc/PID/stat; '-' when it is gone. */
    public static char state(long pid) {
        String stat = read(pid, "stat");
        int end = stat.lastIndexOf(')');
        return end < 0 ? '-' : stat.charAt(end + 2);
    }

    /** True while a process of that id runs (a zombie does not). */
    public static boolean alive(long pid) {
        char state = state(pid);
        return state != '-' && state != 'Z' && state != 'X';
    }

    /** Lines of /proc/PID/maps. */
    public static List<String> maps(long pid) {
        return read(pid, "maps").lines().toList();
    }

    /** Number of open descriptors. */
    public static int descriptors(long pid) {
        try (Stream<Path> files = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
            return (int) files.count();
        } catch (IOException e) {
            return 0;
        }
    }

    /** Resident memory of its own (private clean and dirty), in kB. */
    public static long privateKb(long pid) {
        String rollup = read(pid, "smaps_rollup");
        return field(rollup, "Private_Clean") + field(rollup, "Private_Dirty");
    }

    /** As {@link #privateKb(long)}, without the mappings of files whose path ends in a text. */
    public static long privateKb(long pid, String except) {
        long sum = 0;
        for (String mapping : read(pid, "smaps").split("(?m)^(?=[0-9a-f]+-[0-9a-f]+ )")) {
            if (!mapping.lines().findFirst().orElse("").endsWith(except)) {
                sum += field(mapping, "Private_Clean") + field(mapping, "Private_Dirty");
            }
        }
        return sum;
    }

    private static long field(String text, String name) {
        Matcher matcher = Pattern.compile("(?m)^" + name + ":\\s+(\\d+) kB").matcher(text);
        return matcher.find() ? Long.parseLong(matcher.group(1)) : 0;
    }

    private static String read(long pid, String file) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), file));
        } catch (IOException e) {
            return "";
        }
    }
}
