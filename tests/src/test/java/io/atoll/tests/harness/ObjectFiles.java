package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** The objects of {@link Peers} as files: written once for all scenes of a run, since thousands of files take a second. */
final class ObjectFiles {
    private static final Path FOLDER = write();

    private ObjectFiles() {
    }

    /** Puts them below a folder that is there, as o/0, o/1, …: a link to files that no scene may change. */
    static void into(Path root) {
        try {
            Files.createSymbolicLink(root.resolve("o"), FOLDER);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path write() {
        try {
            Path folder = RunFiles.folder("objects");
            for (int i = 0; i < Peers.OBJECTS; i++) {
                Files.writeString(folder.resolve(Integer.toString(i)), Peers.body("/o/" + i));
            }
            Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
