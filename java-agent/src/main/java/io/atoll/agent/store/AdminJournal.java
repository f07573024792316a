package io.atoll.agent.store;

import java.io.IOException;
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
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.CRC32;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The operators' decisions that stand, on disk. A text file, a record a line: CRC-32 of the rest in eight hexadecimal
 * digits, a space, a JSON object. A record replaces what was decided about the peer before; {@code "kind":"lifted"}
 * removes it.
 *
 * <p>A record is written and synced before {@link #put} or {@link #lift} returns. A process or machine that dies while
 * writing leaves at most a torn last line, which is dropped on opening; lines whose checksum does not match are dropped
 * too, said once, and the damaged file is kept as PATH.damaged. The file is rewritten (temporary file, sync, rename,
 * sync of the folder) on opening and when most of its lines are out of date.
 *
 * <p>One thread at a time. One process at a time: PATH.lock is held while open.
 */
public final class AdminJournal implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.journal");
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int COMPACT_LINES = 256;
    private static final long LARGEST_FILE = 64L << 20;

    private final Path path;
    private FileChannel lockFile;
    private final Map<PeerName, AdminDecision> decisions = new LinkedHashMap<>();
    private FileChannel file;
    private int lines;
    private boolean trusted = true;

    private AdminJournal(Path path, FileChannel lockFile) {
        this.path = path;
        this.lockFile = lockFile;
    }

    /**
     * Opens and reads a journal, creating it when missing. A journal that cannot be read or written gives one that
     * knows what could be read and refuses changes.
     *
     * @throws IOException when another process holds it; the message names the file
     */
    public static AdminJournal open(Path path) throws IOException {
        AdminJournal journal = new AdminJournal(path, lock(lockPath(path)));
        boolean damaged = journal.load();
        try {
            if (damaged) {
                Files.copy(path, path.resolveSibling(path.getFileName() + ".damaged"),
                        StandardCopyOption.REPLACE_EXISTING);
            }
            journal.rewrite();
        } catch (IOException e) {
            LOG.warn("The journal {} cannot be written ({}); drains are applied as it has them, changes are refused; "
                    + "make its folder writable", path, reason(e));
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

    /** Reads what is there. Returns true when bytes had to be dropped. */
    private boolean load() {
        byte[] bytes;
        try {
            if (Files.size(path) > LARGEST_FILE) {
                throw new IOException("larger than " + (LARGEST_FILE >> 20) + " MiB");
            }
            bytes = Files.readAllBytes(path);
        } catch (NoSuchFileException e) {
            trusted = false;
            return false;
        } catch (IOException e) {
            trusted = false;
            LOG.warn("The journal {} cannot be read ({}); starting without its drains", path, reason(e));
            return Files.exists(path);
        }
        int dropped = 0;
        int start = 0;
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] == '\n') {
                dropped += apply(bytes, start, i) ? 0 : 1;
                start = i + 1;
            }
        }
        dropped += start < bytes.length ? 1 : 0;
        if (dropped > 0) {
            trusted = false;
            LOG.warn("The journal {} has {} damaged or unfinished records, which are dropped; {} decisions are kept; "
                    + "the file as it was is kept as {}.damaged", path, dropped, decisions.size(), path);
        }
        return dropped > 0;
    }

    private boolean apply(byte[] bytes, int from, int to) {
        if (to - from < 10 || bytes[from + 8] != ' ') {
            return false;
        }
        CRC32 crc = new CRC32();
        crc.update(bytes, from + 9, to - from - 9);
        String stored = new String(bytes, from, 8, StandardCharsets.ISO_8859_1);
        if (!stored.equals(hex(crc.getValue()))) {
            return false;
        }
        try {
            JsonNode record = JSON.readTree(new String(bytes, from + 9, to - from - 9, StandardCharsets.UTF_8));
            PeerName peer = new PeerName(record.path("zone").asText(), record.path("upstream").asText(),
                    record.path("server").asText(), record.path("address").asText());
            String kind = record.path("kind").asText();
            decisions.remove(peer);
            if (!kind.equals("lifted")) {
                decisions.put(peer, new AdminDecision(peer,
                        AdminDecision.Kind.valueOf(kind.toUpperCase(Locale.ROOT)),
                        record.path("until_ms").asLong(AdminDecision.FOREVER),
                        record.path("until_wall").asLong(AdminDecision.FOREVER), record.path("boot").asText(),
                        record.path("note").asText()));
            }
            lines++;
            return true;
        } catch (JsonProcessingException | IllegalArgumentException e) {
            return false;
        }
    }

    /** The decisions that stand, oldest first. */
    public Collection<AdminDecision> decisions() {
        return List.copyOf(decisions.values());
    }

    /** False when the journal was missing or damaged at opening: then a drain found in a zone may be one it lost. */
    public boolean isTrusted() {
        return trusted;
    }

    /** Records decisions, all or, when it throws, possibly some; they are on disk when this returns. */
    public void put(Collection<AdminDecision> changes) throws IOException {
        List<ObjectNode> records = new ArrayList<>();
        for (AdminDecision decision : changes) {
            records.add(record(decision));
        }
        append(records);
        for (AdminDecision decision : changes) {
            decisions.remove(decision.peer());
            decisions.put(decision.peer(), decision);
        }
        compact();
    }

    /** Records that decisions no longer stand. Those on disk when this returns. */
    public void lift(Collection<PeerName> peers) throws IOException {
        List<ObjectNode> records = new ArrayList<>();
        for (PeerName peer : peers) {
            if (decisions.containsKey(peer)) {
                records.add(named(peer).put("kind", "lifted"));
            }
        }
        append(records);
        decisions.keySet().removeAll(peers);
        compact();
    }

    private void append(List<ObjectNode> records) throws IOException {
        if (records.isEmpty()) {
            return;
        }
        if (file == null) {
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
            file.force(true);
        } catch (IOException e) {
            file.truncate(end);
            throw e;
        }
        lines += records.size();
    }

    private void compact() {
        if (lines > COMPACT_LINES && lines > 4 * decisions.size()) {
            try {
                rewrite();
            } catch (IOException e) {
                LOG.warn("The journal {} cannot be rewritten ({}); it grows until it can", path, reason(e));
            }
        }
    }

    private void rewrite() throws IOException {
        Path fresh = path.resolveSibling(path.getFileName() + ".new");
        if (file != null) {
            file.close();
            file = null;
        }
        try (FileChannel out = FileChannel.open(fresh, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING)) {
            StringBuilder text = new StringBuilder();
            for (AdminDecision decision : decisions.values()) {
                text.append(line(record(decision)));
            }
            write(out, text);
            out.force(true);
        }
        Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        try (FileChannel folder = FileChannel.open(path.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
            folder.force(true);
        }
        file = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.APPEND);
        lines = decisions.size();
    }

    private static void write(FileChannel channel, CharSequence text) throws IOException {
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(text.toString());
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static ObjectNode named(PeerName peer) {
        return JSON.createObjectNode().put("zone", peer.zone()).put("upstream", peer.upstream())
                .put("server", peer.server()).put("address", peer.address());
    }

    private static ObjectNode record(AdminDecision decision) {
        ObjectNode record = named(decision.peer()).put("kind", decision.kind().name().toLowerCase(Locale.ROOT));
        if (!decision.isForever()) {
            record.put("until_ms", decision.untilMs()).put("until_wall", decision.untilWall());
        }
        return record.put("boot", decision.boot()).put("note", decision.note());
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

    /** Lets go of the files; what was put stays. */
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
