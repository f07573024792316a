package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What `nginx -t` and a reload say to a configuration that is wrong: what, where, what was expected, how to mend it. */
@ExtendWith(SceneExtension.class)
class DirectiveErrorsTest {
    /** What the http block starts with, and an upstream of two servers with more lines. */
    private static String http(Nginx nginx, String first, String lines) {
        return """
                %s
                upstream pool {
                %s
                    server %s:1;
                    server %s:1;
                }
                server {
                    listen %s;
                    location / { proxy_pass http://pool; }
                }
                """.formatted(first, lines, nginx.scene().address(1), nginx.scene().address(2), nginx.socket());
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiterString = "=>", textBlock = """
        atoll $uri ketama replicas=2 bound=2 $uri => number of arguments
        atoll $uri rendezvous                => "rendezvous" of "atoll": expected <key> [ketama|maglev] [bound=<factor>] [replicas=<number>]
        atoll $uri maglev ketama             => "ketama" of "atoll": expected one of ketama and maglev, once
        atoll $uri bound=1                   => "bound=1" of "atoll": expected bound=<factor>, once, 1.01 to 10
        atoll $uri bound=10.01               => "bound=10.01" of "atoll": expected bound=<factor>, once, 1.01 to 10
        atoll $uri bound=1.255               => "bound=1.255" of "atoll": expected bound=<factor>, once, 1.01 to 10
        atoll $uri bound=2 bound=3           => "bound=3" of "atoll": expected bound=<factor>, once, 1.01 to 10
        atoll $uri bound=                    => "bound=" of "atoll": expected bound=<factor>, once, 1.01 to 10
        atoll $uri maglev; server 127.0.0.1:2 weight=4294967296 => its weights add up to more than 2147483647; divide
        atoll $uri replicas=1                => "replicas=1" of "atoll": expected replicas=<number>, once, 2 to 16
        atoll $uri ketama replicas=17        => "replicas=17" of "atoll": expected replicas=<number>, once, 2 to 16
        atoll $uri replicas=                 => "replicas=" of "atoll": expected replicas=<number>, once, 2 to 16
        atoll $uri; atoll $uri               => "atoll" directive is duplicate
        atoll_probe                          => "atoll_probe" needs "atoll <key>" in the same upstream "pool"
        atoll_slow_start 5s                  => "atoll_slow_start" needs "atoll <key>"
        atoll_panic 10%                      => "atoll_panic" needs "atoll <key>"
        atoll $uri; atoll_probe; atoll_probe => "atoll_probe" directive is duplicate
        atoll $uri; atoll_probe udp          => "udp" of "atoll_probe": expected [http|tcp]
        atoll $uri; atoll_probe interval=0   => "interval=0" of "atoll_probe": expected interval=<time>, 10ms to 1h
        atoll $uri; atoll_probe interval=2h  => "interval=2h" of "atoll_probe": expected interval=<time>, 10ms to 1h
        atoll $uri; atoll_probe timeout=x    => "timeout=x" of "atoll_probe": expected timeout=<time>, 1ms to 10m
        atoll $uri; atoll_probe rise=0       => "rise=0" of "atoll_probe": expected rise=<number>, 1 to 1000
        atoll $uri; atoll_probe fall=-1      => "fall=-1" of "atoll_probe": expected fall=<number>, 1 to 1000
        atoll $uri; atoll_probe port=65536   => "port=65536" of "atoll_probe": expected port=<number>, 1 to 65535
        atoll $uri; atoll_probe uri=health   => "uri=health" of "atoll_probe": expected uri=/<path>
        atoll $uri; atoll_probe expect=99    => "expect=99" of "atoll_probe": expected expect=<status>
        atoll $uri; atoll_probe expect=300-200 => "expect=300-200" of "atoll_probe": expected expect=<status>
        atoll $uri; atoll_probe expect=200,  => "expect=200," of "atoll_probe": expected expect=<status>
        atoll $uri; atoll_probe tcp uri=/    => "uri=/" of "atoll_probe": expected no uri=, expect= or match= with tcp
        atoll $uri; least_conn; atoll_panic 9% => another balancing method there takes its place
        atoll $uri; least_conn               => does nothing, since another balancing method stands behind it
        atoll $uri; server 127.0.0.1:2 weight=1152921504606846976 => its weights add up to more than 6553,
        atoll $uri; atoll_probe match=       => "match=" of "atoll_probe": expected match=<text>, 1 to 256 bytes
        atoll $uri; atoll_slow_start 2d      => "2d" of "atoll_slow_start": expected a time up to 1d
        atoll $uri; atoll_slow_start 1s; atoll_slow_start 2s => "atoll_slow_start" directive is duplicate
        atoll_handover 5m                    => "atoll_handover" needs "atoll <key>" in the same upstream "pool"
        atoll $uri; atoll_handover           => number of arguments
        atoll $uri; atoll_handover soon      => "soon" of "atoll_handover": expected a time up to 1d, as in 10m; 0 is off
        atoll $uri; atoll_handover 25h       => "25h" of "atoll_handover": expected a time up to 1d
        atoll $uri; atoll_handover 5m 500ms  => "500ms" of "atoll_handover": expected <time> [timeout=<time>]
        atoll $uri; atoll_handover 5m timeout=0  => "timeout=0" of "atoll_handover": expected timeout=<time>, 1ms to 1m
        atoll $uri; atoll_handover 5m timeout=2m => "timeout=2m" of "atoll_handover": expected timeout=<time>, 1ms to 1m
        atoll $uri; atoll_handover 1s; atoll_handover 2s => "atoll_handover" directive is duplicate
        atoll $uri; atoll_panic 101%         => "101%" of "atoll_panic": expected a percentage, 0% (off) to 100%
        atoll $uri; atoll_panic half         => "half" of "atoll_panic": expected a percentage
        """)
    void shouldRefuseInAnUpstream(String lines, String expected, Scene scene) {
        Nginx nginx = Nginx.in(scene, "nginx");
        assertRefused(nginx.atoll(http(nginx, "", lines + ";")), expected);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiterString = "=>", textBlock = """
        atoll_zone size=100           => "size=100" of "atoll_zone": expected size=<bytes>, 1m or more
        atoll_zone size=big           => "size=big" of "atoll_zone": expected size=<bytes>, 1m or more
        atoll_zone sise=8m            => "sise=8m" of "atoll_zone": expected [path] [size=<bytes>]
        atoll_zone a; atoll_zone b    => "atoll_zone" directive is duplicate
        atoll_java timeout=1ms        => "timeout=1ms" of "atoll_java": expected timeout=<time>, 100ms to 10m
        atoll_java jdk=17             => "jdk=17" of "atoll_java": expected [home=<JDK folder>]
        atoll_java home=              => "home=" of "atoll_java": expected [home=<JDK folder>]
        atoll_java home=/ ; atoll_java home=/ => "atoll_java" directive is duplicate
        atoll_node a; atoll_node b    => "atoll_node" directive is duplicate
        atoll_disk_reserve /tmp       => invalid number of arguments in "atoll_disk_reserve"
        atoll_disk_reserve /tmp big   => "big" of "atoll_disk_reserve": expected <path> ... <size>
        atoll_disk_reserve /tmp 0     => "0" of "atoll_disk_reserve": expected <path> ... <size>
        atoll_disk_reserve '' 1m      => "atoll_disk_reserve" directive needs the folder of a cache and a size
        atoll_disk_reserve /tmp /tmp/ 1m => "atoll_disk_reserve" directive names the same folder twice
        atoll_status                  => "atoll_status" directive is not allowed here
        atoll_purge c $uri            => "atoll_purge" directive is not allowed here
        atoll_purge_wait soon         => "soon" of "atoll_purge_wait": expected on, off or a time
        atoll_purge_wait on; atoll_purge_wait off => "atoll_purge_wait" directive is duplicate
        atoll_purge_key a; atoll_purge_key b => "atoll_purge_key" directive is duplicate
        """)
    void shouldRefuseInHttp(String lines, String expected, Scene scene) {
        Nginx nginx = Nginx.in(scene, "nginx");
        assertRefused(nginx.module(http(nginx, lines + ";", "atoll $uri;")), expected);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiterString = "=>", textBlock = """
        atoll_purge c                       => invalid number of arguments in "atoll_purge"
        atoll_purge c $uri $args            => invalid number of arguments in "atoll_purge"
        atoll_purge c ''                    => "" of "atoll_purge": expected a key, as in proxy_cache_key
        atoll_purge '' $uri                 => "" of "atoll_purge": expected the name of a cache's keys_zone
        atoll_purge c $uri; atoll_purge c a => "atoll_purge" directive is duplicate
        atoll_purge d $uri                  => no cache "d" for "atoll_purge" in
        atoll_purge rate $uri               => no cache "rate" for "atoll_purge" in
        """)
    void shouldRefuseInALocation(String lines, String expected, Scene scene) {
        Nginx nginx = Nginx.in(scene, "nginx");
        assertRefused(nginx.module("""
                limit_req_zone $uri zone=rate:1m rate=1r/s;
                proxy_cache_path cache keys_zone=c:1m;
                server { listen %s; location / { %s; } }
                """.formatted(nginx.socket(), lines)), expected);
    }

    private static void assertRefused(Nginx nginx, String expected) {
        Proc.Result result = nginx.check();
        assertTrue(result.exit() != 0, "nginx -t accepts it");
        assertTrue(result.output().contains(expected), "expected " + expected + " in:\n" + result.output());
        assertTrue(result.output().contains("nginx.conf:"), "the place in the file:\n" + result.output());
    }

    @Test
    void shouldSayWhichFolderOfTheZoneIsMissing(Scene scene) {
        Nginx nginx = Nginx.in(scene, "nginx");
        Proc.Result result = nginx.module(http(nginx, "atoll_zone " + scene.file("no/such/zone") + ";", "atoll $uri;"))
                .check();
        assertTrue(result.exit() != 0, "exit status");
        assertContains(result.output(), "atoll_zone", scene.file("no/such").toString());
    }

    @Test
    void shouldSayHowMuchAZoneThatIsTooSmallNeeds(Scene scene) {
        Nginx nginx = Nginx.in(scene, "nginx");
        StringBuilder servers = new StringBuilder();
        for (int i = 1; i <= 200; i++) {
            servers.append("server ").append(scene.address(i)).append(":2 weight=4;\n");
        }
        Proc.Result result = nginx.atoll("size=1m", http(nginx, "", "atoll $uri;\n" + servers)).check();
        assertTrue(result.exit() != 0, "exit status");
        assertContains(result.output(), "size=");
    }

    @Test
    void shouldSayHowMuchAZoneNeedsForMaglevTables(Scene scene) {
        Nginx nginx = Nginx.in(scene, "nginx");
        Proc.Result small = nginx.atoll("size=1m", http(nginx, "", "atoll $uri maglev;")).check();
        assertTrue(small.exit() != 0, "exit status");
        assertContains(small.output(), "is too small", "size=");
        String size = small.output().replaceAll("(?s).*(size=[0-9]+m).*", "$1");
        Proc.Result enough = nginx.atoll(size, http(nginx, "", "atoll $uri maglev;")).check();
        assertEquals(0, enough.exit(), enough.output());
    }

    @Test
    void shouldSayWhichJvmWasLookedForAndWhere(Scene scene) throws IOException {
        Nginx nginx = Nginx.in(scene, "nginx");
        Path home = Files.createDirectories(scene.file("empty"));
        Proc.Result result = nginx.atoll(http(nginx, "atoll_java home=" + home + ";", "atoll $uri;")).check();
        assertTrue(result.exit() != 0, "exit status");
        assertContains(result.output(), "atoll_java", home + ": lib/server/libjvm.so", "version 17 or newer");
    }

    @Test
    void shouldSayWhichFileOfTheBuildProductIsMissing(Scene scene) throws IOException {
        Path lib = Files.createDirectories(scene.file("lib"));
        Nginx nginx = Nginx.in(scene, "nginx");
        nginx.atoll(http(nginx, "atoll_java lib=" + lib + ";", "atoll $uri;"));
        assertContains(nginx.check().output(), lib.resolve("libatoll_jni.so").toString());
        Files.copy(Dist.folder().resolve("libatoll_jni.so"), lib.resolve("libatoll_jni.so"));
        assertContains(nginx.check().output(), lib.resolve("atoll-core.jar").toString());
        Files.writeString(lib.resolve("atoll-core.jar"), "no jar");
        Proc.Result broken = nginx.check();
        assertTrue(broken.exit() != 0, "a broken jar is accepted");
        assertContains(broken.output(), lib + "/atoll-core.jar", "damaged or of another build");
        Files.copy(Dist.folder().resolve("atoll-core.jar"), lib.resolve("atoll-core.jar"),
                StandardCopyOption.REPLACE_EXISTING);
        Proc.Result mended = nginx.check();
        assertEquals(0, mended.exit(), mended.output());
    }

    private static void assertContains(String output, String... parts) {
        for (String part : parts) {
            assertTrue(output.contains(part), "expected " + part + " in:\n" + output);
        }
    }

    @Test
    void shouldKeepTheOldConfigurationServingWhenAReloadFindsNoJvm(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3);
        Path home = scene.file("jdk");
        Files.createSymbolicLink(home, Path.of(System.getProperty("java.home")));
        Nginx front = Nginx.in(scene, "front");
        String java = "atoll_java home=" + home + ";\n";
        front.atoll(java + Front.http(front, peers.servers(""), "")).start();
        List<Long> workers = front.workerPids();
        Files.delete(home);
        Load load = Load.startClosing(scene, front.address(), "/atoll", 200);
        String said = front.reloadRefused();
        assertContains(said, "atoll_java", home + ": No such file");
        assertEquals(200, Http.get(front.address(), "/atoll/o/1").status());
        assertEquals(workers, front.workerPids(), "the workers of before");
        front.awaitChildren(workers.size(), Duration.ofSeconds(10));
        Files.createSymbolicLink(home, Path.of(System.getProperty("java.home")));
        front.reload();
        Load.Report report = load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
    }
}
