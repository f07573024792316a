package io.atoll.agent.store;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.Iterator;
import java.util.Locale;
import java.util.stream.Stream;
import java.util.zip.CRC32;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The file of a journal: text, a record a line: CRC-32 of the rest in eight hexadecimal digits, a space, a JSON object.
 * What the records mean is its {@link Content}'s.
 *
 * <p>A record is written and synced before {@link #append} returns. A process or machine that dies while writing leaves at
 * most a torn last line, which is dropped on opening; lines whose checksum does not match are dropped too, said once, and the
 * damaged file is kept as PATH.damaged. The file is rewritten (temporary file, sync, rename, sync of the folder) on
 * opening and when most of its lines are out of date.
 *
 * <p>One thread at a time. One process at a time: PATH.lock is held while open.
 */
final class JournalFile implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.journal");
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int COMPACT_LINES = 256;
    private static final int CHUNK = 1 << 16;
    /** Bytes of a line; none that is written is nearly as long. */
    private static final int LONGEST_LINE = 1 << 20;

    /** What a journal's records make up. */
    interface Content {
        /**
         * Takes a record in, in the order of the file.
         *
         * @throws IllegalArgumentException for one that makes no sense
         */
        void apply(JsonNode record);

        /** Records that would bring an empty content to this one's state. */
        Stream<ObjectNode> records();

        /** How many {@link #records} there would be, about. */
        int size();

        /** What is lost without it, for messages: "drains". */
        String what();
    }

    private final Path path;
    private final Content content;
    private FileChannel lockFile;
    private FileChannel file;
    private int lines;
    /** Higher after one that failed, since each writes a whole copy. */
    private int compactAbove = COMPACT_LINES;
    private boolean missing;
    private boolean torn;
    private boolean damaged;

    private JournalFile(Path path, Content content, FileChannel lockFile) {
        this.path = path;
        this.content = content;
        this.lockFile = lockFile;
    }

    /**
     * Opens and reads a journal into its content, creating it when missing. A journal that cannot be read or written gives one
     * that knows what could be read and refuses changes.
     *
     * @throws IOException when another process holds it; the message names the file
     */
    static JournalFile open(Path path, Content content) throws IOException {
        JournalFile journal = new JournalFile(path, content, lock(lockPath(path)));
        journal.load();
        try {
            if (journal.torn || journal.damaged && Files.exists(path)) {
                Files.copy(path, path.resolveSibling(path.getFileName() + ".damaged"),
                        StandardCopyOption.REPLACE_EXISTING);
            }
            journal.rewrite();
        } catch (IOException e) {
            LOG.warn("The journal {} cannot be written ({}); {} are applied as it has them, changes are refused; "
                    + "make its folder writable", path, reason(e), content.what());
        }
        return journal;
    }

    private static Path lockPath(Path path) {
        return path.resolveSibling(path.getFileName() + ".lock");
    }

    /** Null where nothing can be written. */
    private static FileChannel lock(Path path) throws IOException {
        FileChannel channel;
        try {
            Files.createDirectories(path.toAbsolutePath().getParent());
            channel = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        } catch (IOException e) {
            return null;
        }
        FileLock lock = null;
        try {
            lock = channel.tryLock();
        } catch (OverlappingFileLockException e) {
            // held by this process
        }
        if (lock == null) {
            channel.close();
            throw new IOException(path + " is held by another running agent; expected one agent for a journal; "
                    + "stop it, or name another file in atoll.store.path");
        }
        return channel;
    }

    private void load() {
        int dropped = 0;
        try (InputStream in = Files.newInputStream(path)) {
            dropped = read(in);
        } catch (NoSuchFileException e) {
            missing = true;
            return;
        } catch (IOException e) {
            damaged = true;
            LOG.warn("The journal {} cannot be read ({}); starting with {} {}", path, reason(e), content.size(), content.what());
            return;
        }
        damaged = dropped > 0;
        if (damaged || torn) {
            LOG.warn("The journal {} has {} damaged or unfinished records, which are dropped; {} {} are kept; "
                    + "the file as it was is kept as {}.damaged", path, dropped + (torn ? 1 : 0), content.size(),
                    content.what(), path);
        }
    }

    /**
     * Applies line by line, since the whole may be larger than the memory.
     *
     * @return how many lines were wrong
     */
    private int read(InputStream in) throws IOException {
        int dropped = 0;
        byte[] chunk = new byte[CHUNK];
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int length = in.read(chunk); length >= 0; length = in.read(chunk)) {
            int start = 0;
            for (int i = 0; i < length; i++) {
                if (chunk[i] == '\n') {
                    line.write(chunk, start, i - start);
                    dropped += apply(line.toByteArray()) ? 0 : 1;
                    line.reset();
                    start = i + 1;
                }
            }
            if (line.size() > LONGEST_LINE) {
                line.reset();
                line.write(0);      // no record begins like this
            }
            line.write(chunk, start, length - start);
        }
        torn = line.size() > 0;
        return dropped;
    }

    private boolean apply(byte[] line) {
        if (line.length < 10 || line[8] != ' ') {
            return false;
        }
        CRC32 crc = new CRC32();
        crc.update(line, 9, line.length - 9);
        String stored = new String(line, 0, 8, StandardCharsets.ISO_8859_1);
        if (!stored.equals(hex(crc.getValue()))) {
            return false;
        }
        try {
            content.apply(JSON.readTree(new String(line, 9, line.length - 9, StandardCharsets.UTF_8)));
            lines++;
            return true;
        } catch (JsonProcessingException | IllegalArgumentException e) {
            return false;
        }
    }

    /** Whether there was none when it was opened. */
    boolean isMissing() {
        return missing;
    }

    /** Whether records that were on disk once are lost: it could not be read, or lines of it were wrong. */
    boolean isDamaged() {
        return damaged;
    }

    /** Whether all that was ever recorded is there, a record cut off in the middle included. */
    boolean isWhole() {
        return !missing && !torn && !damaged;
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    /** Adds records, all or, when it throws, possibly some; they are on disk when this returns. */
    void append(Collection<ObjectNode> records) throws IOException {
        append(records, true);
    }

    /** Adds records that may be lost when the machine dies: they are on disk with the next that may not. */
    void appendLazily(Collection<ObjectNode> records) throws IOException {
        append(records, false);
    }

    private void append(Collection<ObjectNode> records, boolean sync) throws IOException {
        if (records.isEmpty()) {
            return;
        }
        if (file == null || !file.isOpen()) {
            lockFile = lockFile == null ? lock(lockPath(path)) : lockFile;
            rewrite();
        }
        StringBuilder text = new StringBuilder();
        for (ObjectNode record : records) {
            text.append(line(record));
        }
        long end = file.size();
        try {
            write(file, text);
            if (sync) {
                file.force(true);
            }
        } catch (IOException e) {
            takeBack(end, e);
            throw e;
        }
        lines += records.size();
    }

    /** Takes back what a failed append wrote. Where that fails as well, the next append writes the file anew. */
    private void takeBack(long end, IOException problem) {
        try {
            file.truncate(end);
        } catch (IOException e) {
            problem.addSuppressed(e);
            after(problem, file::close);
        }
    }

    /** To be called once the content knows what was appended: rewrites the file when most of it is out of date. */
    void compact() {
        if (lines > compactAbove && lines > 4 * content.size()) {
            try {
                rewrite();
            } catch (IOException e) {
                compactAbove = lines + COMPACT_LINES;
                LOG.warn("The journal {} cannot be rewritten ({}); it grows until it can", path, reason(e));
            }
        }
    }

    /** Until the new file has taken its place, and when that fails, the one before is as it was. */
    private void rewrite() throws IOException {
        Path fresh = path.resolveSibling(path.getFileName() + ".new");
        FileChannel out = FileChannel.open(fresh, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING);
        int count;
        try {
            count = writeAll(out);
            out.force(true);
            Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException | RuntimeException e) {
            after(e, out::close);
            after(e, () -> Files.deleteIfExists(fresh));
            throw e;
        }
        FileChannel before = file;
        file = out;
        lines = count;
        compactAbove = COMPACT_LINES;
        try (before; FileChannel folder = FileChannel.open(path.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
            folder.force(true);
        } catch (IOException e) {
            after(e, out::close);   // what is appended to a file whose name may be lost would be, too
            throw e;
        }
    }

    private int writeAll(FileChannel out) throws IOException {
        int count = 0;
        StringBuilder text = new StringBuilder();
        for (Iterator<ObjectNode> records = content.records().iterator(); records.hasNext(); count++) {
            text.append(line(records.next()));
            if (text.length() > CHUNK) {
                write(out, text);
                text.setLength(0);
            }
        }
        write(out, text);
        return count;
    }

    private interface Step {
        void run() throws IOException;
    }

    /** Cleans up after a problem, which is what the caller throws. */
    private static void after(Exception problem, Step step) {
        try {
            step.run();
        } catch (IOException e) {
            problem.addSuppressed(e);
        }
    }

    private static void write(FileChannel channel, CharSequence text) throws IOException {
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(text.toString());
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static String line(ObjectNode record) {
        String json = record.toString();
        CRC32 crc = new CRC32();
        crc.update(json.getBytes(StandardCharsets.UTF_8));
        return hex(crc.getValue()) + " " + json + "\n";
    }

    private static String hex(long crc) {
        return String.format(Locale.ROOT, "%08x", crc);
    }

    private static String reason(IOException e) {
        return e.getClass().getSimpleName() + ": " + e.getMessage();
    }

    /** Lets go of the files; what was appended stays. */
    @Override
    public void close() throws IOException {
        if (file != null) {
            file.close();
            file = null;
        }
        if (lockFile != null) {
            lockFile.close();
        }
    }
}
