package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.dockerjava.api.model.AccessMode;
import com.github.dockerjava.api.model.Bind;
import com.github.dockerjava.api.model.Volume;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.testcontainers.containers.NginxContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.utility.DockerImageName;
import org.testcontainers.utility.MountableFile;

/**
 * One scene twice: on the local nginx, and in a container whose image knows nothing of Atoll, with the build product and a JDK
 * mounted. Both must choose alike. tests/containers/up.sh brings up the engine.
 */
@ExtendWith(SceneExtension.class)
class ContainerTest {
    private static final int KEYS = 300;
    private static final String FOLDER = "/opt/atoll";

    /** Three servers in the same nginx, behind stock and behind atoll. */
    private static String http(String listen) {
        StringBuilder listens = new StringBuilder();
        StringBuilder servers = new StringBuilder();
        for (int i = 1; i <= 3; i++) {
            listens.append("listen 127.6.7.").append(i).append(":8000;\n");
            servers.append("server 127.6.7.").append(i).append(":8000;\n");
        }
        return """
                upstream by_atoll { atoll $arg_k;
                %1$s keepalive 4; }
                upstream by_stock { hash $arg_k consistent;
                %1$s keepalive 4; }
                server { %2$s location / { return 200 "$server_addr:$server_port"; } }
                server {
                    listen %3$s;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    location = / { return 200 ready; }
                    location /atoll { proxy_pass http://by_atoll; add_header X-Owner $atoll_owner; }
                    location /stock { proxy_pass http://by_stock; }
                    location /status { atoll_status; }
                }
                """.formatted(servers, listens, listen);
    }

    /** Asks for every key, checks what came, and returns who answered. */
    private static Map<String, String> play(SocketAddress address) throws IOException {
        Map<String, String> answered = new LinkedHashMap<>();
        try (Http http = Http.open(address, Duration.ofSeconds(10))) {
            for (int i = 0; i < KEYS; i++) {
                Http.Response atoll = http.send("/atoll?k=key" + i);
                assertEquals(200, atoll.status());
                assertEquals(http.send("/stock?k=key" + i).body(), atoll.body(), "as stock: key" + i);
                assertEquals(atoll.header("X-Owner"), atoll.body(), "the owner answers: key" + i);
                answered.put("key" + i, atoll.body());
            }
            assertTrue(http.send("/status").body().contains("\"by_atoll\""), "atoll_status");
        }
        Set<String> peers = new HashSet<>(answered.values());
        assertEquals(3, peers.size(), "every server is used: " + peers);
        return answered;
    }

    private static Map<String, String> playLocally(Scene scene) throws IOException {
        Nginx nginx = Nginx.in(scene, "nginx");
        nginx.atoll(http(nginx.socket())).start();
        Map<String, String> before = play(nginx.address());
        nginx.reload();
        assertEquals(before, play(nginx.address()), "after a reload");
        return before;
    }

    @Test
    void shouldPlayTheSceneOnTheLocalNginx(Scene scene) throws IOException {
        playLocally(scene);
    }

    @Test
    void shouldPlayTheSceneInAContainer(Scene scene) throws IOException, InterruptedException {
        String image = System.getenv("ATOLL_TEST_IMAGE");
        Assumptions.assumeTrue(image != null,
                "no container engine here: ./atoll test containers brings one up and runs this scene");
        try (NginxContainer<?> container = container(scene, image)) {
            container.start();
            SocketAddress address = Http.address(container.getHost() + ":" + container.getMappedPort(80));
            Map<String, String> inside = play(address);
            Set<String> before = workers(container);
            assertEquals(0, container.execInContainer("nginx", "-s", "reload").getExitCode());
            Await.until("the reload in the container", Duration.ofSeconds(20), () -> status(address).contains("\"config_epoch\":2"));
            // a worker that ends closes kept connections
            Await.until("the workers of before to end", Duration.ofSeconds(20), () -> Collections.disjoint(before, workers(container)));
            assertEquals(inside, play(address), "after a reload");
            String maps = container.execInContainer("sh", "-c", "cat /proc/[0-9]*/maps").getStdout();
            assertTrue(maps.contains("ngx_http_atoll_module.so"), "the module is loaded");
            assertFalse(maps.contains("libjvm"), "no JVM is left in any process");
            assertEquals(playLocally(scene), inside, "the local nginx chooses alike");
            Scene.print("%d keys in a container and on the local nginx: the same peers", KEYS);
        }
    }

    private static String status(SocketAddress address) {
        try {
            return Http.get(address, "/status").body();
        } catch (IOException e) {
            return "";
        }
    }

    /** The files of the workers in the container's /proc. */
    private static Set<String> workers(NginxContainer<?> container) {
        try {
            return Set.of(container.execInContainer("sh", "-c", "grep -l 'worker[ ]process' /proc/[0-9]*/cmdline").getStdout().split("\\s+"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static NginxContainer<?> container(Scene scene, String image) throws IOException {
        Path conf = Files.writeString(scene.file("nginx.conf"), """
                load_module %s/ngx_http_atoll_module.so;
                worker_processes 2;
                error_log /dev/stderr notice;
                events { }
                http {
                    access_log off;
                    atoll_zone /run/atoll.zone;
                    atoll_java home=%s;
                    %s
                }
                """.formatted(FOLDER, javaHome(), http("80")));
        List<Bind> binds = new ArrayList<>(List.of(readOnly(Dist.folder().toString(), FOLDER), readOnly(javaHome(), javaHome())));
        Path settings = Path.of("/etc/java-17-openjdk");
        if (Files.exists(settings)) {
            binds.add(readOnly(settings.toString(), settings.toString()));
        }
        // Not withFileSystemBind: it pulls an image to find out whether files can be mounted.
        return new NginxContainer<>(DockerImageName.parse(image).asCompatibleSubstituteFor("nginx"))
                .withCopyFileToContainer(MountableFile.forHostPath(conf), "/etc/nginx/nginx.conf")
                .withCreateContainerCmdModifier(command -> command.getHostConfig().withBinds(binds))
                .waitingFor(Wait.forHttp("/").forPort(80));
    }

    private static Bind readOnly(String from, String to) {
        return new Bind(from, new Volume(to), AccessMode.ro);
    }

    private static String javaHome() throws IOException {
        return Path.of(System.getProperty("java.home")).toRealPath().toString();
    }
}
