package io.atoll.agent.config;

import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigOrigin;
import com.typesafe.config.ConfigRenderOptions;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;

/**
 * One object of the configuration, read strictly: each getter names a key that may stand here, {@link #finish} reports
 * the others. A problem is noted and a stand-in returned, so that one run reports them all.
 */
final class Section {

    private final ConfigObject object;
    private final ConfigObject defaults;
    private final String path;
    private final List<String> problems;
    private final Set<String> known = new TreeSet<>();

    /** @param defaults what stands where the object has nothing that can be used */
    Section(ConfigObject object, ConfigObject defaults, String path, List<String> problems) {
        this.object = object;
        this.defaults = defaults;
        this.path = path;
        this.problems = problems;
    }

    Section section(String key) {
        ConfigValue value = value(key);
        ConfigObject inner = (ConfigObject) defaults.get(key);
        if (!(value instanceof ConfigObject)) {
            problem(key, value, "a section: " + key + " { … }");
        }
        return new Section(value instanceof ConfigObject named ? named : inner, inner, path(key), problems);
    }

    String string(String key) {
        ConfigValue value = value(key);
        if (value.valueType() == ConfigValueType.STRING || value.valueType() == ConfigValueType.NUMBER) {
            return String.valueOf(value.unwrapped());
        }
        problem(key, value, "a string");
        return "";
    }

    /** A string, or a list of at least one. */
    List<String> strings(String key) {
        ConfigValue value = value(key);
        if (!(value instanceof ConfigList list)) {
            return List.of(string(key));
        }
        List<String> strings = new ArrayList<>();
        for (ConfigValue element : list) {
            if (element.valueType() == ConfigValueType.STRING) {
                strings.add((String) element.unwrapped());
            } else {
                problem(key, element, "a string, or a list of strings");
            }
        }
        if (strings.isEmpty()) {
            problem(key, value, "a string, or a list of at least one");
        }
        return strings;
    }

    /** A list, which may be empty, of addresses of a form; without a slash at the end. */
    List<String> urls(String key, Pattern form, String expected) {
        ConfigValue value = value(key);
        List<String> urls = new ArrayList<>();
        if (!(value instanceof ConfigList list)) {
            problem(key, value, "a list, each " + expected);
            return urls;
        }
        for (ConfigValue element : list) {
            String url = String.valueOf(element.unwrapped());
            if (form.matcher(url).matches() && !hasHostAndPort(url)) {
                problem(key, element, expected + ", with a host name of letters, digits, - and . and a port from 1 to 65535");
            } else if (form.matcher(url).matches()) {
                urls.add(url.endsWith("/") ? url.substring(0, url.length() - 1) : url);
            } else {
                problem(key, element, expected);
            }
        }
        return urls;
    }

    /** Whether it has both as an HTTP client sees them, to which edge_1 is no host. */
    private static boolean hasHostAndPort(String url) {
        try {
            URI uri = new URI(url);
            return uri.getHost() != null && uri.getPort() >= 1 && uri.getPort() <= 65_535;
        } catch (URISyntaxException e) {
            return false;
        }
    }

    /** A list, which may be empty, of name servers: IP or IP:PORT, [IPV6]:PORT. */
    List<InetSocketAddress> nameServers(String key) {
        ConfigValue value = value(key);
        List<InetSocketAddress> servers = new ArrayList<>();
        if (!(value instanceof ConfigList list)) {
            problem(key, value, "a list of name servers such as [\"10.0.0.53\"]");
            return servers;
        }
        for (ConfigValue element : list) {
            InetSocketAddress server = nameServer(String.valueOf(element.unwrapped()));
            if (server == null) {
                problem(key, element, "the address of a name server: \"10.0.0.53\", \"127.0.0.1:5353\", \"[::1]:53\"");
            } else {
                servers.add(server);
            }
        }
        return servers;
    }

    private static InetSocketAddress nameServer(String text) {
        boolean withPort = text.startsWith("[") || text.chars().filter(c -> c == ':').count() == 1;
        ListenAddress address = ListenAddress.parse(withPort ? text : text.contains(":") ? "[" + text + "]:53" : text + ":53");
        try {
            return address != null && address.isLiteral() && address.port() > 0 ? address.resolve() : null;
        } catch (UnknownHostException e) {
            return null;
        }
    }

    /**
     * A list, which may be empty, of sections.
     *
     * @param elements what each of them has where it says nothing
     */
    List<Section> sections(String key, Config elements) {
        ConfigValue value = value(key);
        List<Section> sections = new ArrayList<>();
        if (!(value instanceof ConfigList list)) {
            problem(key, value, "a list of sections: " + key + " = [ { … } ]");
            return sections;
        }
        for (ConfigValue element : list) {
            if (element instanceof ConfigObject named) {
                sections.add(new Section(named, elements.root(), path(key) + "[" + sections.size() + "]", problems));
            } else {
                problem(key, element, "a section: { … }");
            }
        }
        return sections;
    }

    boolean bool(String key) {
        ConfigValue value = value(key);
        try {
            return value.atKey("v").getBoolean("v");
        } catch (ConfigException e) {
            problem(key, value, "true or false");
            return false;
        }
    }

    Duration duration(String key, Duration least, Duration most) {
        ConfigValue value = value(key);
        try {
            Duration duration = value.atKey("v").getDuration("v");
            if (duration.compareTo(least) >= 0 && duration.compareTo(most) <= 0) {
                return duration;
            }
        } catch (ConfigException e) {
            // reported below
        }
        problem(key, value, "a time from " + text(least) + " to " + text(most) + ", such as \"" + text(least) + "\"");
        return least;
    }

    double number(String key, double least, double most) {
        ConfigValue value = value(key);
        try {
            double number = value.atKey("v").getDouble("v");
            if (number >= least && number <= most) {
                return number;
            }
        } catch (ConfigException e) {
            // reported below
        }
        problem(key, value, "a number from " + text(least) + " to " + text(most));
        return least;
    }

    private static String text(double number) {
        return number == Math.rint(number) ? Long.toString((long) number) : Double.toString(number);
    }

    <E extends Enum<E>> E choice(String key, Class<E> type) {
        String text = string(key);
        List<String> names = new ArrayList<>();
        for (E constant : type.getEnumConstants()) {
            String name = constant.name().toLowerCase(Locale.ROOT);
            if (name.equals(text)) {
                return constant;
            }
            names.add(name);
        }
        problem(key, value(key), "one of: " + String.join(", ", names));
        return type.getEnumConstants()[0];
    }

    /** HOST:PORT; empty gives null when that is allowed. */
    ListenAddress address(String key, boolean optional) {
        String text = string(key);
        if (text.isEmpty() && optional) {
            return null;
        }
        ListenAddress address = ListenAddress.parse(text);
        if (address == null) {
            problem(key, value(key), "HOST:PORT or [IPV6]:PORT, such as \"127.0.0.1:9181\"");
        }
        return address;
    }

    void problem(String key, ConfigValue value, String expected) {
        problems.add(where(value.origin()) + path(key) + " is " + value.render(ConfigRenderOptions.concise()) + "; expected " + expected);
    }

    /** Reports keys that no getter asked for. */
    void finish() {
        for (String key : new TreeSet<>(object.keySet())) {
            if (!known.contains(key)) {
                String nearest = nearest(key);
                problems.add(where(object.get(key).origin()) + path(key) + " is not a setting; expected "
                        + (nearest == null ? "one of: " + String.join(", ", known) : nearest + " (nearest)"));
            }
        }
    }

    ConfigValue value(String key) {
        known.add(key);
        ConfigValue value = object.getOrDefault(key, defaults.get(key));
        if (value == null) {
            throw new IllegalStateException("reference.conf lacks " + path(key));
        }
        return value;
    }

    private String path(String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    private String nearest(String key) {
        String nearest = null;
        int least = Math.max(2, key.length() / 3) + 1;
        for (String candidate : known) {
            int distance = distance(key, candidate);
            if (distance < least) {
                least = distance;
                nearest = candidate;
            }
        }
        return nearest;
    }

    static String where(ConfigOrigin origin) {
        String file = origin.filename() == null ? origin.description() : origin.filename();
        return origin.lineNumber() > 0 ? file + ":" + origin.lineNumber() + ": " : file + ": ";
    }

    static String text(Duration duration) {
        long ms = duration.toMillis();
        if (ms % 60_000 == 0) {
            return ms / 60_000 + " min";
        }
        return ms % 1000 == 0 ? ms / 1000 + " s" : ms + " ms";
    }

    /** Levenshtein's edit distance. */
    static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(change, Math.min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.length()];
    }
}
