package io.atoll.tests.harness;

import java.nio.file.Files;
import java.nio.file.Path;

/** Where the checkout and its build product lie. */
public final class Dist {
    /** Root of the checkout. */
    public static final Path ROOT = root();

    private Dist() {
    }

    /** The nginx module. */
    public static Path module() {
        return part("ngx_http_atoll_module.so");
    }

    /** The agent, a jar to run. */
    public static Path agent() {
        return part("atoll-agent.jar");
    }

    /** The folder of the build product; -Datoll.dist names another one, as one built with sanitizers. */
    public static Path folder() {
        return ROOT.resolve(System.getProperty("atoll.dist", "dist"));
    }

    private static Path part(String name) {
        Path path = folder().resolve(name);
        if (!Files.exists(path)) {
            throw new AssertionError(path + " is missing: run ./atoll build first");
        }
        return path;
    }

    private static Path root() {
        String property = System.getProperty("atoll.root");
        Path from = Path.of(property != null ? property : "").toAbsolutePath();
        for (Path path = from; path != null; path = path.getParent()) {
            if (Files.exists(path.resolve("layout/zone.layout"))) {
                return path;
            }
        }
        throw new AssertionError("no checkout at or above " + from);
    }
}
