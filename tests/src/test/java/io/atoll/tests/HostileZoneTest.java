package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Zone files that are not what they should be: named, replaced or left alone, and never a reason to stop serving. */
@ExtendWith(SceneExtension.class)
class HostileZoneTest {
    private static final int RATE = 300;

    /** What is no zone file at all: it belongs to somebody, and nginx does not write over it. */
    private enum Foreign {
        TEXT {
            @Override
            byte[] bytes() {
                return "# a file of somebody else\n".repeat(1000).getBytes(StandardCharsets.US_ASCII);
            }
        },
        GARBAGE {
            @Override
            byte[] bytes() {
                byte[] bytes = new byte[1 << 20];
                new Random(5).nextBytes(bytes);
                return bytes;
            }
        };

        abstract byte[] bytes();
    }

    /** A bad zone file, and the name of the attach result that the error log must have for it. */
    private enum Bad {
        EMPTY("TRUNCATED") {
            @Override
            byte[] spoil(byte[] good) {
                return new byte[0];
            }
        },
        SHORTER_THAN_ITS_HEADER("TRUNCATED") {
            @Override
            byte[] spoil(byte[] good) {
                return Arrays.copyOf(good, 1000);
            }
        },
        SHORTER_THAN_IT_SAYS("TRUNCATED") {
            @Override
            byte[] spoil(byte[] good) {
                return Arrays.copyOf(good, good.length / 2);
            }
        },
        OLDER("VERSION_MISMATCH") {
            @Override
            byte[] spoil(byte[] good) {
                return put(good, HeaderRecord.VERSION, 0x00000900);
            }
        },
        NEWER("VERSION_MISMATCH") {
            @Override
            byte[] spoil(byte[] good) {
                return put(good, HeaderRecord.VERSION, 0x00020000);
            }
        },
        OF_ANOTHER_BUILD("LAYOUT_MISMATCH") {
            @Override
            byte[] spoil(byte[] good) {
                return put(good, HeaderRecord.FINGERPRINT, ~ZoneLayout.FINGERPRINT);
            }
        },
        WITH_A_SECTION_OUTSIDE("OUT_OF_BOUNDS") {
            @Override
            byte[] spoil(byte[] good) {
                return put(good, HeaderRecord.STATES_OFFSET, 0x7ffffff0);
            }
        };

        private final String result;

        Bad(String result) {
            this.result = result;
        }

        /** Makes a bad file of a good one's bytes. */
        abstract byte[] spoil(byte[] good);

        static byte[] put(byte[] bytes, int offset, int value) {
            ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(offset, value);
            return bytes;
        }
    }

    @ParameterizedTest
    @EnumSource(Bad.class)
    void shouldNameABadZoneFileReplaceItAndServe(Bad bad, Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3);
        Nginx front = Front.over(scene, peers).start();
        byte[] good = Files.readAllBytes(front.zone());
        front.stop();

        byte[] spoilt = bad.spoil(good.clone());
        Files.write(front.zone(), spoilt);
        Proc.Result check = front.check();
        assertEquals(0, check.exit(), check.output());
        assertArrayEquals(spoilt, Files.readAllBytes(front.zone()), "nginx -t leaves the file as it is");
        front.start();
        assertTrue(front.errorLog().contains(bad.result), bad.result + " in the error log:\n" + front.errorLog());
        assertServes(scene, front);

        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        Path next = scene.file("next.zone");
        Files.write(next, spoilt);
        Files.move(next, front.zone(), StandardCopyOption.ATOMIC_MOVE);
        int before = front.count(bad.result);
        front.reload();
        assertTrue(front.count(bad.result) > before, bad.result + " in the error log at the reload");
        Load.Report report = load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
        assertServes(scene, front);
        assertEquals(ZoneLayout.MAGIC, new ZoneFile(front.zone()).word(HeaderRecord.MAGIC), "a good file again");
    }

    @ParameterizedTest
    @EnumSource(Foreign.class)
    void shouldLeaveAForeignFileAloneAndGoOnServing(Foreign foreign, Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3);
        Nginx front = Front.over(scene, peers);
        Files.write(front.zone(), foreign.bytes());
        Proc.Result check = front.check();
        assertTrue(check.exit() != 0 && check.output().contains(front.zone() + "\" is not a zone file"), check.output());
        Proc.Result start = front.startRefused();
        assertTrue(start.exit() != 0 && start.output().contains("remove it"), start.output());
        assertArrayEquals(foreign.bytes(), Files.readAllBytes(front.zone()), "the file stays as it is");
        Files.delete(front.zone());
        front.start();

        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        Path next = scene.file("next.zone");
        Files.write(next, foreign.bytes());
        Files.move(next, front.zone(), StandardCopyOption.ATOMIC_MOVE);
        List<Long> workers = front.workerPids();
        String said = front.reloadRefused();
        assertTrue(said.contains("is not a zone file"), said);
        Load.Report report = load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(workers, front.workerPids(), "the configuration of before serves");
        Files.delete(front.zone());
        front.reload();
        assertServes(scene, front);
    }

    private static void assertServes(Scene scene, Nginx front) {
        Load.Report report = Load.run(scene, front.address(), "/atoll", RATE, Duration.ofMillis(500));
        assertTrue(report.count() > 20, "requests");
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(0, new ZoneFile(front.zone()).fallbacks(), "picks without a table");
    }

    @Test
    void shouldServeWhileTheBytesOfItsTablesAreFlipped(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers).start();
        ZoneFile zone = new ZoneFile(front.zone());
        List<Long> workers = front.workerPids();
        long tables = zone.word(HeaderRecord.TABLES_OFFSET);
        long length = zone.word(HeaderRecord.TABLES_LENGTH);
        Load load = Load.start(scene, front.address(), "/atoll", RATE);
        long seed = System.nanoTime();
        for (int round = 0; round < 30; round++) {
            zone.flip(new Random(seed + round), tables, length);
            Await.window(Duration.ofMillis(100));
        }
        Load.Report report = load.stop();
        Scene.print("seed %d: tables flipped 30 times: %s, picks without a table %d", seed, report.line(),
                zone.fallbacks());
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(workers, front.workerPids(), "no worker crashed");
        front.reload();
        assertServesAsStock(front);
    }

    @Test
    void shouldNeitherCrashNorHangWhenAnyByteOfTheZoneIsFlipped(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        // which is said when it strikes the words by which a zone is known
        Nginx front = Front.over(scene, peers).expectLog("the file was cut short or written over").start();
        int answered = 0;
        int well = 0;
        long seed = System.nanoTime();
        for (int round = 0; round < 15; round++) {
            ZoneFile zone = new ZoneFile(front.zone());
            List<Long> workers = front.workerPids();
            zone.flipBehindMagic(new Random(seed + round));
            try (Http http = Http.open(front.address(), Duration.ofSeconds(5))) {
                for (int i = 0; i < 200; i++) {
                    Http.Response response = http.send("/atoll/o/" + i);
                    answered++;
                    well += response.status() == 200 ? 1 : 0;
                }
                assertEquals(200, http.send("/status").status());
            }
            assertEquals(workers, front.workerPids(), "no worker crashed, seed " + (seed + round));
            front.reload();
            try (Http http = Http.open(front.address(), Duration.ofSeconds(5))) {
                http.send("/atoll/o/1");
            }
            front.stop();
            Files.delete(front.zone());
            front.start();
        }
        Scene.print("seed %d: whole zone flipped 15 times: answered %d, of these well %d", seed, answered, well);
        assertServesAsStock(front);
    }

    private static void assertServesAsStock(Nginx front) {
        try (Http http = Http.open(front.address(), Duration.ofSeconds(10))) {
            for (int i = 0; i < 200; i++) {
                assertEquals(http.send("/stock/o/" + i).header("X-Upstream"),
                        http.send("/atoll/o/" + i).header("X-Upstream"), "peer of object " + i);
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void shouldLeaveTheLiveZoneAsItIsWhenAConfigurationIsTested(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers).start();
        ZoneFile zone = new ZoneFile(front.zone());
        Object inode = zone.inode();
        byte[] before = zone.withoutRows();
        front.atoll(Front.http(front, peers.servers("weight=3"), "")).check();
        Proc.Result check = front.check();
        assertEquals(0, check.exit(), check.output());
        assertEquals(inode, zone.inode(), "the same file");
        assertArrayEquals(before, zone.withoutRows(), "the same bytes");
        String[] files = scene.file("front").toFile().list((folder, name) -> name.contains("zone"));
        assertArrayEquals(new String[] {"atoll.zone"}, files, "nothing left beside it");
    }

    @Test
    void shouldRefuseASecondNginxOnTheSameZoneWithThePidOfTheFirst(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Nginx first = Front.over(scene, peers).start();
        Nginx second = Nginx.in(scene, "second");
        second.module("atoll_zone " + first.zone() + ";\n" + Front.http(second, peers.servers(""), ""));
        Proc.Result refused = second.startRefused();
        assertTrue(refused.exit() != 0, "exit status");
        assertTrue(refused.output().contains(Long.toString(first.pid())), refused.output());
        assertEquals(200, Http.get(first.address(), "/atoll/o/1").status());
        first.stop();
        second.start();
        assertEquals(200, Http.get(second.address(), "/atoll/o/1").status());
    }
}
