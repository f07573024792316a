package io.atoll.tests.harness;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/**
 * A file system of its own, of a few megabytes, for what one nginx writes: its folders `cache` and `temp` lie on it. It is mounted in a
 * mount namespace that ends with the nginx.
 */
public final class SmallDisk {
    private static final String MOUNT = """
            mount -t tmpfs -o size=%1$s,mode=755 tmpfs %2$s/disk && mkdir -m 777 %2$s/disk/cache %2$s/disk/temp &&
            mount --bind %2$s/disk/cache %2$s/cache && mount --bind %2$s/disk/temp %2$s/temp && exec "$@"
            """;

    private final Nginx nginx;

    private SmallDisk(Nginx nginx) {
        this.nginx = nginx;
    }

    /** For an nginx that is not started yet. Skips the test where the user may not mount. */
    public static SmallDisk under(Nginx nginx, String size) {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "a mount namespace needs root");
        try {
            Files.createDirectories(nginx.prefix().resolve("disk"));
            Files.createDirectories(nginx.prefix().resolve("cache"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        nginx.through(List.of("unshare", "-m", "--propagation", "private", "sh", "-c", MOUNT.formatted(size, nginx.prefix()), "sh"));
        return new SmallDisk(nginx);
    }

    /** Bytes that are left. */
    public long free() {
        return folder().toFile().getUsableSpace();
    }

    /** Writes other data, more with each call, until so many bytes are left, or none for 0. What others have on it for a moment counts as taken. */
    public void fill(long left) {
        byte[] page = new byte[4096];
        try (OutputStream file = Files.newOutputStream(folder().resolve("other" + left), StandardOpenOption.CREATE,
                StandardOpenOption.APPEND)) {
            while (free() > left) {
                file.write(page);
            }
        } catch (IOException e) {
            // none left at that moment; what others had is free again as soon as they give it back
            if (left > 0) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** Takes the other data back. */
    public void clear() {
        try (var files = Files.newDirectoryStream(folder(), "other*")) {
            for (Path file : files) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Makes it read-only, or writable again. */
    public void readOnly(boolean on) {
        Proc.must("nsenter", "--mount=/proc/" + nginx.pid() + "/ns/mnt", "mount", "-o", on ? "remount,ro" : "remount,rw",
                nginx.prefix() + "/disk");
    }

    /** The mounted folder, as this process sees it. */
    private Path folder() {
        return Path.of("/proc/" + nginx.pid() + "/root" + nginx.prefix() + "/disk");
    }
}
