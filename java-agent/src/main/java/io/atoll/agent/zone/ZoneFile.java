package io.atoll.agent.zone;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;

import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneException;

/** A zone file that is open and mapped. Closing lets go of the file; the mapping goes when nothing refers to it. */
final class ZoneFile implements AutoCloseable {
    private static final long LARGEST = Integer.MAX_VALUE;

    private final Path path;
    private final FileChannel channel;
    private final Object key;
    private final long length;
    private final Zone zone;

    private ZoneFile(Path path, FileChannel channel, Object key, long length, Zone zone) {
        this.path = path;
        this.channel = channel;
        this.key = key;
        this.length = length;
        this.zone = zone;
    }

    /** Why a file cannot be used, by name and in a sentence. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        private final String state;

        Refused(String state, String detail) {
            super(detail);
            this.state = state;
        }

        String state() {
            return state;
        }
    }

    /**
     * Opens, maps and checks.
     *
     * @param bootId of the running kernel
     * @throws Refused with MISSING, NO_ACCESS, OTHER_BOOT, or the name of the attach result
     */
    static ZoneFile open(Path path, byte[] bootId) throws Refused {
        FileChannel channel = null;
        try {
            channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE);
            ZoneFile file = attach(path, channel, bootId);
            channel = null;
            return file;
        } catch (NoSuchFileException e) {
            throw new Refused("MISSING", "there is no such file; waiting for nginx to make it (atoll_zone)");
        } catch (AccessDeniedException e) {
            throw new Refused("NO_ACCESS", "it may not be read and written; run the agent as root or with the group "
                    + "of nginx's workers");
        } catch (ZoneException e) {
            throw new Refused(e.result().name(), sentence(e));
        } catch (InternalError e) {
            throw new Refused("TRUNCATED", "it was made shorter while it was read");
        } catch (IOException e) {
            throw new Refused("NO_ACCESS", "it cannot be opened: " + e.getMessage());
        } finally {
            closeQuietly(channel);
        }
    }

    private static ZoneFile attach(Path path, FileChannel channel, byte[] bootId) throws IOException, Refused {
        Object key = fileKey(path);
        long length = channel.size();
        if (length > LARGEST) {
            throw new Refused("OUT_OF_BOUNDS", "it is longer than 2 GiB");
        }
        ByteBuffer mapping = channel.map(FileChannel.MapMode.READ_WRITE, 0, length);
        Zone zone = Zone.attach(mapping);
        byte[] written = zone.bootId();
        MappingGuard.settle();
        byte[] none = new byte[written.length];
        if (!Arrays.equals(written, bootId) && !Arrays.equals(written, none) && !Arrays.equals(bootId, none)) {
            throw new Refused("OTHER_BOOT", "it is from before this machine started; waiting for nginx to make it anew");
        }
        return new ZoneFile(path, channel, key, length, zone);
    }

    private static String sentence(ZoneException problem) {
        return switch (problem.result()) {
            case AWAIT_READY -> "nginx is making it";
            case VERSION_MISMATCH, LAYOUT_MISMATCH -> problem.getMessage()
                    + "; install module and agent from one build, then restart the agent or nginx";
            case BAD_MAGIC, TRUNCATED, OUT_OF_BOUNDS -> problem.getMessage()
                    + "; expected a zone file of nginx: compare atoll_zone and atoll.zone";
            default -> problem.getMessage();
        };
    }

    Zone zone() {
        return zone;
    }

    /** Whether all that is mapped is still there: touching what is not would be a fault. */
    boolean isWhole() {
        try {
            return channel.size() >= length;
        } catch (IOException e) {
            return false;
        }
    }

    /** Whether another file stands at the path. One that was deleted without a successor is not replaced. */
    boolean isReplaced() {
        Object now;
        try {
            now = fileKey(path);
        } catch (IOException e) {
            return false;
        }
        return now != null && !now.equals(key);
    }

    /**
     * Takes the publisher's lock: nginx cannot publish until it is released or this process ends. The lock is one of the
     * process: closing any descriptor of the file drops it, so nothing else may open the file meanwhile.
     *
     * @return null when nginx, or another agent, has it
     */
    FileLock tryLock() throws IOException {
        try {
            return channel.tryLock(0, 1, false);
        } catch (OverlappingFileLockException e) {
            return null;
        }
    }

    private static Object fileKey(Path path) throws IOException {
        return Files.readAttributes(path, BasicFileAttributes.class).fileKey();
    }

    @Override
    public void close() {
        closeQuietly(channel);
    }

    private static void closeQuietly(FileChannel channel) {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                // nothing was written through the channel
            }
        }
    }
}
