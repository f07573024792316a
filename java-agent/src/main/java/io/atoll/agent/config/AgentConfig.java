package io.atoll.agent.config;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.logging.Level;
import java.util.regex.Pattern;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigParseOptions;
import com.typesafe.config.ConfigSyntax;

/** The agent's settings. What each means is said once, in reference.conf. */
public record AgentConfig(List<Path> zones, Duration heartbeat, Duration lease, ListenAddress apiListen, String token,
        ListenAddress metricsListen, boolean metricsJvm, Path storePath, ProbeConfig probe, HotKeysConfig hotKeys,
        PurgeConfig purge, ResolveConfig resolve, LogLevel logLevel) {
    private static final String HOST_PORT = "https?://(\\[[0-9A-Fa-f:.]+]|[^/:@\\s]+):[0-9]{1,5}";
    private static final Pattern AGENT = Pattern.compile(HOST_PORT + "/?");
    private static final Pattern LOCATION = Pattern.compile(HOST_PORT + "/[^\\s?#\"<>\\\\^`{|}]*");

    /** What an element of atoll.resolve.srv is without what it says: nginx's defaults for a server. */
    private static final Config SERVICE = ConfigFactory.parseString(
            "upstream = \"\", service = \"\", max-conns = 0, max-fails = 1, fail-timeout = 10 s");
    /** What a header can have, in the same bytes for all clients. */
    private static final Pattern TOKEN = Pattern.compile("[!-~]{16,}");
    private static final Pattern SERVICE_NAME = Pattern.compile("[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?");

    /**
     * Purges.
     *
     * @param agents      of the other hosts, as http(s)://HOST:PORT
     * @param expire      for how long an agent that is away is told, and a purge stands
     * @param syncTimeout for how long caches of before wait, when this agent begins, for what the others know
     * @param delete      where files of before are deleted: locations with atoll_purge, as http(s)://HOST:PORT/PATH
     */
    public record PurgeConfig(List<String> agents, Duration expire, Duration syncTimeout, List<String> delete) {}

    /** How probes are made; what they ask stands in the zone. */
    public record ProbeConfig(boolean keepalive, Transport transport) {}

    /** Which keys are hot, and how long they stay so. */
    public record HotKeysConfig(boolean enabled, Duration interval, Duration window, double share, double rate,
            Duration cool, int max) {}

    /**
     * How names of servers are followed.
     *
     * @param servers  to ask; empty for those of resolv.conf
     * @param minTtl   an answer holds for no less
     * @param maxTtl   and for no more
     * @param interval for answers that say nothing about that, and the longest pause after failures
     * @param timeout  of one query
     * @param rate     queries a second, at most
     * @param services whose targets are members
     */
    public record ResolveConfig(boolean enabled, List<InetSocketAddress> servers, Families families, Duration minTtl, Duration maxTtl,
            Duration interval, Duration timeout, int rate, List<ServiceConfig> services) {}

    /**
     * A service (SRV records) whose targets are servers of an upstream.
     *
     * @param name such as {@code _http._tcp.example.com}
     */
    public record ServiceConfig(String upstream, String name, int maxConns, int maxFails, Duration failTimeout) {}

    /** Which addresses are asked for. AUTO: those of the families that this host has itself. */
    public enum Families { AUTO, IPV4, IPV6, BOTH }

    /** How sockets are waited for. */
    public enum Transport { AUTO, EPOLL, NIO }

    /** Kinds of store. */
    public enum StoreType { FILE }

    /** Levels of log lines. */
    public enum LogLevel {
        DEBUG(Level.FINE), INFO(Level.INFO), WARN(Level.WARNING), ERROR(Level.SEVERE);

        private final Level level;

        LogLevel(Level level) {
            this.level = level;
        }

        public Level level() {
            return level;
        }
    }

    /** Reads a file over the defaults of reference.conf; a null file gives the defaults. */
    public static AgentConfig read(Path file) throws ConfigProblems {
        Config defaults = ConfigFactory.parseResources(AgentConfig.class.getClassLoader(), "reference.conf");
        Config config;
        try {
            config = file == null ? defaults : parse(file).withFallback(defaults);
            config = config.resolve();
        } catch (ConfigException e) {
            throw new ConfigProblems(List.of(syntax(e, file)));
        }
        List<String> problems = new ArrayList<>();
        Section top = new Section(config.root(), defaults.root(), "", problems);
        Section root = top.section("atoll");
        AgentConfig result = read(root, problems);
        root.finish();
        top.finish();
        if (!problems.isEmpty()) {
            throw new ConfigProblems(problems);
        }
        return result;
    }

    private static Config parse(Path file) throws ConfigProblems {
        File named = file.toFile();
        if (!Files.isReadable(file) || Files.isDirectory(file)) {
            throw new ConfigProblems(List.of(file + " cannot be read; expected the agent's configuration file; "
                    + "check the path and its permissions, or leave --config away for the defaults"));
        }
        return ConfigFactory.parseFile(named, ConfigParseOptions.defaults().setSyntax(ConfigSyntax.CONF));
    }

    private static String syntax(ConfigException problem, Path file) {
        String where = problem.origin() == null ? file + ": " : Section.where(problem.origin());
        String text = problem.getMessage();
        int prefix = problem.origin() == null ? 0 : text.indexOf(problem.origin().description() + ": ");
        if (prefix == 0 && problem.origin() != null) {
            text = text.substring(problem.origin().description().length() + 2);
        }
        return where + text + "; expected HOCON, such as: atoll { lease = 10 s }";
    }

    private static AgentConfig read(Section root, List<String> problems) {
        List<Path> zones = zones(root);
        Duration heartbeat = root.duration("heartbeat", Duration.ofMillis(100), Duration.ofSeconds(10));
        Duration lease = root.duration("lease", Duration.ofMillis(300), Duration.ofMinutes(10));
        if (problems.isEmpty() && lease.compareTo(heartbeat.multipliedBy(3)) < 0) {
            root.problem("lease", root.value("lease"), "at least 3 heartbeats, " + Section.text(heartbeat.multipliedBy(3)));
        }

        Section api = root.section("api");
        ListenAddress apiListen = api.address("listen", false);
        String token = token(api);
        api.finish();

        Section metrics = root.section("metrics");
        ListenAddress metricsListen = metrics.address("listen", true);
        boolean metricsJvm = metrics.bool("jvm");
        metrics.finish();

        Section store = root.section("store");
        store.choice("type", StoreType.class);
        Path storePath = path(store, "path", store.string("path"));
        store.finish();

        ProbeConfig probe = probe(root.section("probe"));
        HotKeysConfig hotKeys = hotKeys(root.section("hot-keys"));
        PurgeConfig purge = purge(root.section("mesh"), root.section("purge"), apiListen);
        ResolveConfig resolve = resolve(root.section("resolve"));
        Section log = root.section("log");
        LogLevel level = log.choice("level", LogLevel.class);
        log.finish();
        return new AgentConfig(zones, heartbeat, lease, apiListen, token, metricsListen, metricsJvm, storePath, probe,
                hotKeys, purge, resolve, level);
    }

    private static List<Path> zones(Section root) {
        List<Path> zones = new ArrayList<>();
        Set<Path> seen = new HashSet<>();
        for (String text : root.strings("zone")) {
            Path path = path(root, "zone", text);
            if (path != null && !seen.add(path)) {
                root.problem("zone", root.value("zone"), "each file once");
            }
            zones.add(path);
        }
        return zones;
    }

    private static Path path(Section section, String key, String text) {
        try {
            Path path = Path.of(text);
            if (path.isAbsolute()) {
                return path.normalize();
            }
        } catch (java.nio.file.InvalidPathException e) {
            // reported below
        }
        section.problem(key, section.value(key), "an absolute path");
        return null;
    }

    private static ProbeConfig probe(Section probe) {
        ProbeConfig config = new ProbeConfig(probe.bool("keepalive"), probe.choice("transport", Transport.class));
        probe.finish();
        return config;
    }

    private static ResolveConfig resolve(Section resolve) {
        Duration minTtl = resolve.duration("min-ttl", Duration.ofMillis(100), Duration.ofHours(1));
        Duration maxTtl = resolve.duration("max-ttl", Duration.ofSeconds(1), Duration.ofDays(1));
        if (maxTtl.compareTo(minTtl) < 0) {
            resolve.problem("max-ttl", resolve.value("max-ttl"), "no less than min-ttl, " + Section.text(minTtl));
        }
        ResolveConfig config = new ResolveConfig(resolve.bool("enabled"), resolve.nameServers("servers"),
                resolve.choice("families", Families.class), minTtl, maxTtl,
                resolve.duration("interval", Duration.ofSeconds(1), Duration.ofHours(1)),
                resolve.duration("timeout", Duration.ofMillis(100), Duration.ofSeconds(10)), (int) resolve.number("rate", 10, 100_000),
                resolve.sections("srv", SERVICE).stream().map(AgentConfig::service).toList());
        if (!config.enabled() && !config.services().isEmpty()) {
            resolve.problem("enabled", resolve.value("enabled"), "true, since srv names services");
        }
        resolve.finish();
        return config;
    }

    private static ServiceConfig service(Section srv) {
        ServiceConfig service = new ServiceConfig(srv.string("upstream"), srv.string("service"),
                (int) srv.number("max-conns", 0, Integer.MAX_VALUE), (int) srv.number("max-fails", 0, Integer.MAX_VALUE),
                srv.duration("fail-timeout", Duration.ZERO, Duration.ofDays(1)));
        if (service.upstream().isEmpty()) {
            srv.problem("upstream", srv.value("upstream"), "the name of an upstream of nginx.conf");
        }
        if (!SERVICE_NAME.matcher(service.name()).matches()) {
            srv.problem("service", srv.value("service"), "the name of SRV records, such as \"_http._tcp.example.com\"");
        }
        srv.finish();
        return service;
    }

    private static HotKeysConfig hotKeys(Section hot) {
        HotKeysConfig config = new HotKeysConfig(hot.bool("enabled"),
                hot.duration("interval", Duration.ofMillis(50), Duration.ofSeconds(10)),
                hot.duration("window", Duration.ofMillis(500), Duration.ofMinutes(1)), hot.number("share", 0.01, 10),
                hot.number("rate", 0, 1_000_000), hot.duration("cool", Duration.ofMillis(100), Duration.ofMinutes(10)),
                (int) hot.number("max", 1, 64));
        hot.finish();
        return config;
    }

    /** The list of agents may have this one: it is nobody to tell. */
    private static PurgeConfig purge(Section mesh, Section purge, ListenAddress self) {
        List<String> agents = mesh.urls("agents", AGENT, "the address of an agent's API, such as \"http://10.0.0.2:9181\"").stream()
                .filter(url -> self == null || !self.isAt(url.replaceFirst("^https?://", ""))).toList();
        mesh.finish();
        PurgeConfig config = new PurgeConfig(agents,
                purge.duration("expire", Duration.ofMinutes(1), Duration.ofDays(366)),
                purge.duration("sync-timeout", Duration.ofMillis(100), Duration.ofHours(1)),
                purge.urls("delete", LOCATION, "the address of a location with atoll_purge, such as "
                        + "\"http://127.0.0.1:8099/purge\""));
        purge.finish();
        return config;
    }

    /** The first line of the token file; empty when none is named. */
    private static String token(Section api) {
        String file = api.string("token-file");
        if (file.isEmpty()) {
            return "";
        }
        try {
            String token = Files.readString(Path.of(file)).lines().findFirst().orElse("").trim();
            if (TOKEN.matcher(token).matches()) {
                return token;
            }
            api.problem("token-file", api.value("token-file"),
                    "a file whose first line is a token of at least 16 characters: letters, digits and signs of ASCII, no blanks");
        } catch (IOException | java.nio.file.InvalidPathException e) {
            api.problem("token-file", api.value("token-file"), "a readable file with a token on its first line");
        }
        return "";
    }
}
