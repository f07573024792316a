package io.atoll.tests.harness;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A real nginx with a configuration of its own, as a child process in the foreground. At its end its error log must
 * not hold an alert, an emergency or a crash that the scene did not announce with {@link #expectLog}.
 */
public final class Nginx implements AutoCloseable {
    private static final Duration START = Duration.ofSeconds(30);
    private static final Pattern BAD = Pattern.compile("\\[(alert|emerg)]|exited on signal|exited with fatal code");

    private final Scene scene;
    private final Path prefix;
    private final List<String> wrapper = new ArrayList<>();
    private final Map<String, String> environment = new HashMap<>();
    private final List<Pattern> expected = new ArrayList<>();
    private int workers = 2;
    private boolean master = true;
    private boolean daemon;
    private long daemonPid;
    private String main = "";
    private String http = "";
    private String others = "";
    private Process process;

    private Nginx(Scene scene, String name) {
        this.scene = scene;
        prefix = scene.file(name);
        try {
            Files.createDirectories(prefix.resolve("logs"));
            Files.createDirectories(prefix.resolve("temp"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** An nginx that is not started yet; the scene ends it. */
    public static Nginx in(Scene scene, String name) {
        return scene.keep(new Nginx(scene, name));
    }

    /** Worker processes; 2 unless told. */
    public Nginx workers(int count) {
        workers = count;
        return this;
    }

    /** One process that is master and worker at once (`master_process off`). */
    public Nginx singleProcess() {
        master = false;
        return this;
    }

    /** In the background, as a service manager's `forking` has it: what {@link #upgrade} needs. */
    public Nginx daemon() {
        daemon = true;
        return this;
    }

    /** Lines for the main context. */
    public Nginx main(String lines) {
        main = lines;
        return this;
    }

    /** The http block. */
    public Nginx http(String lines) {
        http = lines;
        return this;
    }

    /** Loads Atoll's module, with its zone file in the scene's folder, and takes the rest of the http block. */
    public Nginx atoll(String lines) {
        return atoll("size=8m", lines);
    }

    /** As {@link #atoll(String)}, with other parameters of atoll_zone. */
    public Nginx atoll(String zoneParameters, String lines) {
        return module("atoll_zone " + zone() + " " + zoneParameters + ";\n" + lines);
    }

    /** Loads Atoll's module and takes the whole http block. */
    public Nginx module(String lines) {
        others = "load_module " + Dist.module() + ";\n";
        http = lines;
        return this;
    }

    /** Runs it through a command that executes the rest of its arguments, as `nsenter`. */
    public Nginx through(List<String> command) {
        wrapper.addAll(command);
        return this;
    }

    /** Sets an environment variable of the process. */
    public Nginx environment(String name, String value) {
        environment.put(name, value);
        return this;
    }

    /** Announces a line of the error log, as a regular expression, that would fail the scene otherwise. */
    public Nginx expectLog(String regex) {
        expected.add(Pattern.compile(regex));
        return this;
    }

    /** The zone file that {@link #atoll} names. */
    public Path zone() {
        return prefix.resolve("atoll.zone");
    }

    /** A unix socket in its folder, as `listen` and clients write it: reached from every network namespace. */
    public String socket() {
        return "unix:" + prefix.resolve("sock");
    }

    /** {@link #socket} for a client. */
    public SocketAddress address() {
        return Http.address(socket());
    }

    /** Its folder. */
    public Path prefix() {
        return prefix;
    }

    /** Path of the configuration file. */
    public Path configuration() {
        return prefix.resolve("nginx.conf");
    }

    /** Writes the configuration and starts; returns when all workers run and the sockets listen. */
    public Nginx start() {
        write();
        launch();
        Await.until("nginx in " + prefix + " to start", START, () -> {
            if (!process.isAlive() && (!daemon || process.exitValue() != 0)) {
                throw new AssertionError("nginx ended with " + process.exitValue() + ":\n" + errorLog() + output());
            }
            if (daemon) {
                daemonPid = filedPid();
            }
            return Files.exists(pidFile()) && (!master || workerPids().size() == workers);
        });
        return this;
    }

    /** Writes the configuration and starts it, where it has to refuse: returns what it said. */
    public Proc.Result startRefused() {
        write();
        launch();
        try {
            if (!process.waitFor(START.toSeconds(), TimeUnit.SECONDS)) {
                throw new AssertionError("nginx runs although it should have refused its configuration");
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        String said = output();
        expectLog("\\[emerg]");
        return new Proc.Result(process.exitValue(), said);
    }

    /** Writes the configuration and runs `nginx -t`. */
    public Proc.Result check() {
        write();
        List<String> command = new ArrayList<>(wrapper);
        command.addAll(List.of("nginx", "-p", prefix + "/", "-c", configuration().toString(), "-t"));
        expectLog("\\[emerg]");
        return Proc.run(command);
    }

    /** Writes the present configuration and reloads; returns when all workers of the new generation run. */
    public void reload() {
        write();
        List<Long> old = workerPids();
        Path log = prefix.resolve("logs/error.log");
        long from = log.toFile().length();
        Proc.signal(pid(), "HUP");
        Await.until("a new generation of workers in " + prefix, START, () -> {
            if (since(log, from).contains("[emerg]")) {
                throw new AssertionError("the reload was refused:\n" + errorLog());
            }
            List<Long> now = workerPids();
            return now.size() == workers && now.stream().noneMatch(old::contains);
        });
    }

    /** What was written behind the first bytes of a log. */
    private static String since(Path log, long from) {
        if (log.toFile().length() <= from) {
            return "";
        }
        try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "r")) {
            byte[] text = new byte[(int) Math.max(0, file.length() - from)];
            file.seek(from);
            file.readFully(text);
            return new String(text, StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Writes the present configuration and reloads, where it has to refuse: returns the new lines of the error log. */
    public String reloadRefused() {
        write();
        int before = errorLog().length();
        expectLog("\\[emerg]");
        Proc.signal(pid(), "HUP");
        return Await.value("a refused reload in " + prefix, START, () -> {
            String log = errorLog().substring(before);
            return log.contains("[emerg]") ? log : null;
        });
    }

    /** Binary upgrade: USR2, WINCH when the successor's workers run, QUIT when those of before are gone. */
    public void upgrade() {
        long old = pid();
        Proc.signal(old, "USR2");
        long next = Await.value("a successor of nginx " + old, START, () -> {
            long pid = filedPid();
            return pid != 0 && pid != old && workers(pid).size() == workers ? pid : null;
        });
        Proc.signal(old, "WINCH");
        Await.until("no worker of nginx " + old, START, () -> Proc.children(old).equals(List.of(next)));
        Proc.signal(old, "QUIT");
        Await.until("nginx " + old + " to end", START, () -> !Proc.alive(old));
        daemonPid = next;
    }

    /** What the pid file says; 0 when there is none. */
    private long filedPid() {
        try {
            String text = Files.exists(pidFile()) ? Files.readString(pidFile()).trim() : "";
            return text.isEmpty() ? 0 : Long.parseLong(text);
        } catch (IOException e) {
            return 0;
        }
    }

    /** Process id of the master, or of the single process. */
    public long pid() {
        return daemon ? daemonPid : process.pid();
    }

    /** True while the process that was started, or its successor, lives. */
    public boolean isRunning() {
        return process != null && (daemon ? daemonPid != 0 && Proc.alive(daemonPid) : process.isAlive());
    }

    /** Workers that take new connections, in order of their ids. */
    public List<Long> workerPids() {
        return workers(pid());
    }

    private static List<Long> workers(long pid) {
        return Proc.children(pid).stream().filter(p -> Proc.title(p).equals("nginx: worker process")).toList();
    }

    /** Waits until only that many children are left: old workers gone, no zombie, no compile child. */
    public void awaitChildren(int count, Duration limit) {
        Await.until("only " + count + " children of nginx " + pid(), limit, () -> Proc.children(pid()).size() == count);
    }

    /** Ends it at once, workers included, as a power cut would. */
    public void kill() {
        List<Long> children = Proc.children(pid());
        Proc.signal(pid(), "KILL");
        children.forEach(child -> {
            if (Proc.alive(child)) {
                Proc.run("kill", "-KILL", Long.toString(child));
            }
        });
        Await.until("nginx " + pid() + " to die", START,
                () -> !isRunning() && children.stream().noneMatch(Proc::alive));
    }

    /** Ends it as `nginx -s quit`. */
    public void quit() {
        end("QUIT");
    }

    /** Ends it as `nginx -s stop`. */
    public void stop() {
        end("TERM");
    }

    /** The error log so far. */
    public String errorLog() {
        try {
            Path log = prefix.resolve("logs/error.log");
            return Files.exists(log) ? Files.readString(log) : "";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Number of times that a text stands in the error log. */
    public int count(String text) {
        return (int) errorLog().lines().filter(line -> line.contains(text)).count();
    }

    @Override
    public void close() {
        if (isRunning()) {
            stop();
        }
        List<String> bad = errorLog().lines().filter(line -> BAD.matcher(line).find())
                .filter(line -> expected.stream().noneMatch(pattern -> pattern.matcher(line).find())).toList();
        if (!bad.isEmpty()) {
            throw new AssertionError("error log of " + prefix + ":\n" + String.join("\n", bad));
        }
    }

    private void end(String signal) {
        Proc.signal(pid(), signal);
        if (daemon) {
            Await.until("nginx " + pid() + " to end", START, () -> !isRunning());
            return;
        }
        try {
            if (!process.waitFor(START.toSeconds(), TimeUnit.SECONDS)) {
                kill();
                throw new AssertionError("nginx in " + prefix + " did not end on " + signal);
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private void launch() {
        try {
            Files.deleteIfExists(pidFile());
            if (!isRunning()) {
                Files.deleteIfExists(prefix.resolve("sock"));
            }
            List<String> command = new ArrayList<>(wrapper);
            command.addAll(List.of(daemon ? binary() : "nginx", "-p", prefix + "/", "-c", configuration().toString()));
            ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true)
                    .redirectOutput(prefix.resolve("logs/output").toFile());
            builder.environment().putAll(environment);
            process = builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** With its folder, as nginx wants it to start its successor. */
    private static String binary() {
        return Stream.of(System.getenv("PATH").split(":")).map(folder -> Path.of(folder, "nginx")).filter(Files::isExecutable)
                .findFirst().orElseThrow(() -> new AssertionError("no nginx in PATH")).toString();
    }

    private Path pidFile() {
        return prefix.resolve("nginx.pid");
    }

    private String output() {
        try {
            return Files.readString(prefix.resolve("logs/output"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void write() {
        String text = others + """
                daemon %s;
                master_process %s;
                worker_processes %d;
                pid nginx.pid;
                error_log logs/error.log notice;
                worker_shutdown_timeout 20s;
                %s
                events {
                    worker_connections 2048;
                }
                http {
                    %s
                    client_body_temp_path temp/body;
                    proxy_temp_path temp/proxy;
                    fastcgi_temp_path temp/fastcgi;
                    uwsgi_temp_path temp/uwsgi;
                    scgi_temp_path temp/scgi;
                    keepalive_requests 1000000;
                    log_format scene '$msec|$status|$request_uri|$upstream_addr|$upstream_status|$request_time|$pid';
                %s
                }
                """.formatted(daemon ? "on" : "off", master ? "on" : "off", workers, main,
                http.contains("access_log logs/") ? "" : "access_log off;", http.indent(4));
        try {
            Files.writeString(configuration(), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The scene it belongs to. */
    public Scene scene() {
        return scene;
    }
}
