package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResolvConfTest {
    @TempDir
    Path folder;

    private static ResolvConf parse(String text) {
        return ResolvConf.parse(text.lines().toList());
    }

    @Test
    void shouldReadServersDomainsAndOptions() {
        ResolvConf conf = parse("""
                # a comment
                nameserver 10.0.0.1
                nameserver fd00::53   ; the second
                nameserver no.address
                nameserver 999.1.1.1
                nameserver 1:2
                search corp.example. example
                options ndots:2 attempts:3 rotate
                """);
        assertEquals(List.of(new InetSocketAddress("10.0.0.1", 53), new InetSocketAddress("fd00::53", 53)), conf.servers());
        assertEquals(List.of("corp.example", "example"), conf.search());
        assertEquals(2, conf.ndots());
        assertEquals(3, conf.attempts());
    }

    @Test
    void shouldAskThisMachineWhenThereIsNoServer() {
        assertEquals(List.of(new InetSocketAddress("127.0.0.1", 53)), parse("search x\n").servers());
        assertEquals(ResolvConf.NOTHING, ResolvConf.read(folder.resolve("none")));
    }

    @Test
    void shouldReadAFileWithBytesThatAreNoText() throws IOException {
        Path file = Files.write(folder.resolve("resolv.conf"), "# caf\u00e9\nnameserver 10.0.0.1\n".getBytes(StandardCharsets.ISO_8859_1));
        assertEquals(List.of(new InetSocketAddress("10.0.0.1", 53)), ResolvConf.read(file).servers());
    }

    @Test
    void shouldTryDomainsFirstForShortNamesOnly() {
        ResolvConf conf = parse("search a b\n");
        assertEquals(List.of("cache.a", "cache.b", "cache"), conf.candidates("cache"));
        assertEquals(List.of("cache.x", "cache.x.a", "cache.x.b"), conf.candidates("cache.x"));
        assertEquals(List.of("cache"), conf.candidates("cache."));
    }

    @Test
    void shouldReadAFileAgainWhenItIsAnother() throws IOException {
        Path file = folder.resolve("resolv.conf");
        WatchedFile<ResolvConf> watched = new WatchedFile<>(file, ResolvConf::read);
        assertEquals(ResolvConf.NOTHING, watched.get());
        Files.writeString(file, "nameserver 10.0.0.1\n");
        assertEquals(List.of(new InetSocketAddress("10.0.0.1", 53)), watched.get().servers());
        Files.writeString(folder.resolve("next"), "nameserver 10.0.0.2\n");
        Files.move(folder.resolve("next"), file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        assertEquals(List.of(new InetSocketAddress("10.0.0.2", 53)), watched.get().servers());
    }
}
