package io.atoll.agent.dns;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.function.Function;

/** What a small file of the system says now: read again when its time, size or inode is another. */
final class WatchedFile<T> {
    private final Path path;
    private final Function<Path, T> reader;
    private List<Object> stamp;
    private T content;

    /** @param reader copes with a file that is not there */
    WatchedFile(Path path, Function<Path, T> reader) {
        this.path = path;
        this.reader = reader;
    }

    T get() {
        List<Object> now = stamp();
        if (!now.equals(stamp)) {
            content = reader.apply(path);
            stamp = now;
        }
        return content;
    }

    private List<Object> stamp() {
        try {
            BasicFileAttributes file = Files.readAttributes(path, BasicFileAttributes.class);
            return List.of(file.lastModifiedTime(), file.size(), String.valueOf(file.fileKey()));
        } catch (IOException e) {
            return List.of();
        }
    }
}
