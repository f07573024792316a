package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Edges with the origin right behind them join, leave, are drained and return: what one of them has is not fetched again. */
@ExtendWith(SceneExtension.class)
class RouteHandoverTest {
    private static final int OBJECTS = 1000;
    private static final int RATE = 100;
    /** A node has logged its answers, and stored them, soon after they are out. */
    private static final Duration LOGGED = Duration.ofMillis(500);
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final String PROBED = "atoll_probe http uri=/health interval=200ms timeout=1s fall=2 rise=2;";

    /** Edges that may be members, and the objects of the scene. */
    private record Stage(RouteMesh mesh, String handover) {
        static Stage open(Scene scene, int nodes, String handover) {
            RouteMesh mesh = RouteMesh.in(scene, nodes, 1).secret("a secret of the mesh of this scene");
            mesh.origin().workers(1);
            mesh.startOrigin();
            return new Stage(mesh, handover);
        }

        Node edge(int number) {
            return mesh.edge(number - 1);
        }

        /** Node of that number, with a tier of these members; one that is below 0 is `down`. */
        Node member(int number, int... members) {
            String servers = IntStream.of(members).mapToObj(member -> "server " + edge(Math.abs(member)).server()
                    + (member < 0 ? " down; " : "; ")).collect(Collectors.joining());
            return edge(number).route("atoll_route edges origin;").inServer("location = /health { return 200 well; }")
                    .caching("proxy_cache_lock on;")
                    .edges(servers + PROBED + "atoll_handover " + handover + ";");
        }

        void start(int... members) {
            IntStream.of(members).parallel().forEach(number -> member(number, members).start());
        }

        List<Nginx> nginx(List<Integer> numbers) {
            return numbers.stream().map(number -> edge(number).nginx()).toList();
        }

        /** Waits until its zone has a ring before. */
        void awaitTold(int number) {
            Await.until("edge " + number + " to be told of the owners before", FAR, () -> {
                try (FileChannel file = FileChannel.open(edge(number).nginx().zone())) {
                    Zone zone = Zone.attach(file.map(FileChannel.MapMode.READ_ONLY, 0, file.size()));
                    return zone.upstreams().stream().anyMatch(upstream -> upstream.name().equals("edges")
                            && zone.table(upstream.index()).table().handoverUntilMs() != 0);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }

        void reload(List<Integer> nodes, int... members) {
            nodes.parallelStream().forEach(number -> member(number, members).reload());
        }

        /** Fetches each object of the series through the nodes in turn, and returns how many of them the origin was asked for. */
        int fetch(String series, int... nodes) throws IOException {
            int before = fetched(series);
            List<List<String>> parts = new ArrayList<>();
            for (int i = 0; i < nodes.length; i++) {
                int part = i;
                parts.add(IntStream.range(0, OBJECTS).filter(n -> n % nodes.length == part).mapToObj(n -> series + n).toList());
            }
            IntStream.range(0, nodes.length).parallel().forEach(i -> fetch(edge(nodes[i]), parts.get(i)));
            awaitLogged();
            return fetched(series) - before;
        }

        private static void fetch(Node node, List<String> objects) {
            try (Http http = Http.open(node.socket(), Duration.ofSeconds(30))) {
                List<Http.Response> responses = http.pipeline(objects);
                for (int i = 0; i < responses.size(); i++) {
                    assertEquals(200, responses.get(i).status());
                    assertEquals(RouteMesh.body(objects.get(i)), responses.get(i).body());
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** The origin's only worker logs an answer as soon as it has sent it, before it takes another request. */
        private void awaitLogged() throws IOException {
            assertEquals(200, Http.get(Http.address(mesh.originServer()), "/o/0").status());
        }

        private int fetched(String series) {
            return (int) mesh.originLog().stream().filter(hop -> hop.uri().startsWith(series)).count();
        }

        /** Waits until these edges have the first as the probes find it. */
        void awaitProbed(boolean well, int... edges) {
            for (int number : edges) {
                ZoneFile zone = new ZoneFile(edge(number).nginx().zone());
                Await.until("edge " + number + " to see the first " + (well ? "well" : "down"), FAR,
                        () -> zone.stands("edges", edge(1).server(), Reason.PROBE) != well);
            }
        }

        /** Requests that previous owners had so far. */
        long fills() {
            Await.window(LOGGED);
            return mesh.edges().stream().filter(edge -> edge.nginx().isRunning())
                    .mapToLong(edge -> edge.log().stream().filter(hop -> hop.role().equals("previous")).count()).sum();
        }
    }

    @Test
    void shouldFetchNothingAnewWhenNodesJoinLeaveAndAreReplaced(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 5, "10m timeout=2s");
        stage.start(1, 2, 3);
        assertEquals(OBJECTS, stage.fetch("/r/", 1, 2, 3), "each is fetched once");
        Load load = Load.startClosing(scene, stage.edge(2).socket(), "", RATE);

        stage.member(4, 1, 2, 3, 4).start();
        stage.reload(List.of(1, 2, 3), 1, 2, 3, 4);
        int joined = stage.fetch("/r/", 1, 2, 3, 4);
        long filled = stage.fills();

        stage.reload(List.of(2, 3, 4), 2, 3, 4);
        int left = stage.fetch("/r/", 2, 3, 4);

        stage.member(5, 2, -3, 4, 5).start();
        stage.reload(List.of(2, 3, 4), 2, -3, 4, 5);
        int replaced = stage.fetch("/r/", 2, 4, 5);
        Load.Report report = load.stop();
        Scene.print("atoll: of %d objects fetched anew: %d when a 4th edge joined (%d fills), %d when one of 4 left, "
                + "%d when one was replaced; %s", OBJECTS, joined, filled, left, replaced, report.line());

        assertTrue(filled > OBJECTS / 8, filled + " fills when the 4th joined");
        assertTrue(joined + left + replaced <= OBJECTS / 1000, joined + " + " + left + " + " + replaced);
        assertEquals(0, stage.fetch("/r/", 2, 4, 5));
        assertEquals(List.of(), report.failed(), report.complaint());
    }

    @Test
    void shouldFetchNothingAnewWhenTwoNodesJoinInARow(Scene scene) throws IOException {
        changeTwice(scene, List.of(1, 2, 3), List.of(1, 2, 3, 4), List.of(1, 2, 3, 4, 5));
    }

    @Test
    void shouldFetchNothingAnewWhenANodeJoinsAndAnotherLeavesInARow(Scene scene) throws IOException {
        changeTwice(scene, List.of(1, 2, 3), List.of(1, 2, 3, 4), List.of(2, 3, 4));
    }

    @Test
    void shouldFetchNothingAnewWhenANodeLeavesAndAnotherJoinsInARow(Scene scene) throws IOException {
        changeTwice(scene, List.of(1, 2, 3), List.of(2, 3), List.of(2, 3, 4));
    }

    /** Objects that were there before the first change, some of them asked for between the two, and objects that came between. */
    private static void changeTwice(Scene scene, List<Integer> first, List<Integer> second, List<Integer> third) throws IOException {
        Stage stage = Stage.open(scene, 5, "10m timeout=2s");
        stage.start(numbers(first));
        IntStream.of(4, 5).forEach(number -> stage.member(number, numbers(first)).start());
        Agent agent = Agent.start(scene, stage.mesh().edges().stream().map(Node::nginx).toList());
        stage.fetch("/r/", numbers(first));
        stage.fetch("/r/old/", numbers(first));
        change(agent, stage, first, second);
        int asked = stage.fetch("/r/", numbers(second));
        int came = stage.fetch("/r/between/", numbers(second));
        change(agent, stage, second, third);
        int again = stage.fetch("/r/", numbers(third));
        int old = stage.fetch("/r/old/", numbers(third));
        int between = stage.fetch("/r/between/", numbers(third));
        Scene.print("%s, %s, %s: of %d objects each fetched anew: %d in between, then %d of these, %d that were not asked for in between, "
                + "%d that came in between", first, second, third, OBJECTS, asked, again, old, between);
        assertEquals(OBJECTS, came);
        assertTrue(asked + again + old + between <= OBJECTS / 1000, asked + " + " + again + " + " + old + " + " + between);
    }

    /** At run time; who leaves runs on. */
    private static void change(Agent agent, Stage stage, List<Integer> before, List<Integer> now) throws IOException {
        for (int number : now) {
            if (!before.contains(number)) {
                agent.add("edges", stage.edge(number).server(), 1);
            }
        }
        for (int number : before) {
            if (!now.contains(number)) {
                agent.remove("edges", stage.edge(number).server());
            }
        }
    }

    @Test
    void shouldFetchNothingAnewWhenTwoNodesJoinAtOnce(Scene scene) throws IOException {
        comeAtOnce(scene, List.of(1, 2, 3), List.of(1, 2, 3, 4, 5));
    }

    @Test
    void shouldFetchNothingAnewWhenANodeReplacesOneThatItsListDoesNotName(Scene scene) throws IOException {
        comeAtOnce(scene, List.of(1, 2, 3), List.of(1, 2, 4));
    }

    /** Nodes with empty zones, whose agent asks that of the others; who leaves runs on. */
    private static void comeAtOnce(Scene scene, List<Integer> before, List<Integer> now) throws IOException {
        Stage stage = Stage.open(scene, 5, "10m timeout=2s");
        stage.start(numbers(before));
        String there = scene.address(240) + ":9181";
        Agent.in(scene, stage.nginx(before), "there", there, "").start();
        stage.fetch("/r/", numbers(before));

        List<Integer> fresh = now.stream().filter(number -> !before.contains(number)).toList();
        fresh.parallelStream().forEach(number -> stage.member(number, numbers(now)).start());
        Agent.in(scene, stage.nginx(fresh), "fresh", scene.address(241) + ":9181", "atoll.mesh.agents = [ \"http://" + there + "\" ]\n")
                .start();
        fresh.forEach(stage::awaitTold);
        stage.reload(now.stream().filter(before::contains).toList(), numbers(now));
        int anew = stage.fetch("/r/", numbers(now));
        long filled = stage.fills();
        Scene.print("%s, then %s: of %d objects %d fetched anew, %d fills", before, now, OBJECTS, anew, filled);
        assertTrue(filled > OBJECTS / 8, filled + " fills");
        assertTrue(anew <= OBJECTS / 1000, anew + " fetched anew");
    }

    /** Without agents, so that the one that joins knows of no ring before; nobody asks it for anything before the other leaves. */
    @Test
    void shouldFetchNothingAnewWhenAnotherLeavesBeforeANodeThatJoinedWasAsked(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 4, "10m timeout=2s");
        stage.start(1, 2, 3);
        stage.fetch("/r/", 1, 2, 3);
        stage.member(4, 1, 2, 3, 4).start();
        stage.reload(List.of(1, 2, 3), 1, 2, 3, 4);
        stage.reload(List.of(2, 3, 4), 2, 3, 4);
        int anew = stage.fetch("/r/", 2, 3, 4);
        Scene.print("one joined, another left at once: of %d objects %d fetched anew, %d fills", OBJECTS, anew, stage.fills());
        assertTrue(anew <= OBJECTS / 1000, anew + " fetched anew");
    }

    @Test
    void shouldFetchNothingAnewWhenTheMethodChanges(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=2s");
        stage.start(1, 2, 3);
        stage.fetch("/r/", 1, 2, 3);
        stage.mesh().edges().forEach(edge -> edge.method("maglev"));
        stage.reload(List.of(1, 2, 3), 1, 2, 3);
        int maglev = stage.fetch("/r/", 1, 2, 3);
        assertEquals(OBJECTS, stage.fetch("/r/between/", 1, 2, 3));
        stage.mesh().edges().forEach(edge -> edge.method("ketama"));
        stage.reload(List.of(1, 2, 3), 1, 2, 3);
        int ketama = stage.fetch("/r/", 1, 2, 3) + stage.fetch("/r/between/", 1, 2, 3);
        Scene.print("of %d objects %d fetched anew when ketama became maglev, of %d %d when it became ketama again; %d fills",
                OBJECTS, maglev, 2 * OBJECTS, ketama, stage.fills());
        assertTrue(maglev + ketama <= OBJECTS / 1000, maglev + " + " + ketama);
    }

    private static int[] numbers(List<Integer> nodes) {
        return nodes.stream().mapToInt(Integer::intValue).toArray();
    }

    @Test
    void shouldFetchAShareAnewWithoutIt(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 4, "0");
        stage.start(1, 2, 3);
        stage.fetch("/r/", 1, 2, 3);
        stage.member(4, 1, 2, 3, 4).start();
        stage.reload(List.of(1, 2, 3), 1, 2, 3, 4);
        int joined = stage.fetch("/r/", 1, 2, 3, 4);
        Scene.print("atoll_handover 0: of %d objects %d fetched anew when a 4th edge joined", OBJECTS, joined);
        assertTrue(joined > OBJECTS / 8, joined + " fetched anew");
        assertEquals(0, stage.fills());
    }

    @Test
    void shouldFetchNothingAnewWhenANodeIsDrainedAndTakenBack(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=2s");
        stage.start(1, 2, 3);
        Agent agent = Agent.start(scene, stage.mesh().edges().stream().map(Node::nginx).toList());
        stage.fetch("/r/", 1, 2, 3);

        agent.drain("edges", stage.edge(1).server());
        int drained = stage.fetch("/r/", 2, 3);
        int others = stage.fetch("/r/new/", 2, 3);
        agent.undrain("edges", stage.edge(1).server());
        int back = stage.fetch("/r/", 1, 2, 3);
        int newer = stage.fetch("/r/new/", 1, 2, 3);
        Scene.print("of %d objects fetched anew: %d when an edge was drained, %d when it was taken back; of those that came meanwhile %d",
                OBJECTS, drained, back, newer);
        assertEquals(OBJECTS, others);
        assertTrue(drained + back + newer <= OBJECTS / 1000, drained + " + " + back + " + " + newer);
    }

    @Test
    void shouldFetchNothingAnewWhenANodeIsAddedAndAnotherRemovedAtRunTime(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 4, "10m timeout=2s");
        stage.start(1, 2, 3);
        stage.member(4, 1, 2, 3, 4).start();
        Agent agent = Agent.start(scene, stage.mesh().edges().stream().map(Node::nginx).toList());
        stage.fetch("/r/", 1, 2, 3);

        agent.add("edges", stage.edge(4).server(), 1);
        int added = stage.fetch("/r/", 1, 2, 3, 4);
        long filled = stage.fills();
        agent.remove("edges", stage.edge(2).server());
        int removed = stage.fetch("/r/", 1, 3);
        Scene.print("of %d objects fetched anew: %d when an edge was added without a reload, %d when another was removed", OBJECTS,
                added, removed);
        assertTrue(added + removed <= OBJECTS / 1000, added + " + " + removed);
        assertTrue(filled > OBJECTS / 8, filled + " fills");
    }

    @Test
    void shouldFindAtItsStandInsWhatCameWhileItWasAway(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=2s");
        stage.start(1, 2, 3);
        Agent.start(scene, stage.mesh().edges().stream().map(Node::nginx).toList());
        stage.fetch("/r/", 1, 2, 3);
        Await.window(LOGGED);
        stage.edge(1).nginx().kill();
        stage.awaitProbed(false, 2, 3);
        int away = stage.fetch("/r/away/", 2, 3);
        stage.edge(1).start();
        stage.awaitProbed(true, 1, 2, 3);
        long before = stage.fills();
        int back = stage.fetch("/r/", 1, 2, 3) + stage.fetch("/r/away/", 1, 2, 3);
        long filled = stage.fills() - before;
        Scene.print("of %d objects %d fetched anew when a killed edge was back, %d fills", 2 * OBJECTS, back, filled);
        assertEquals(OBJECTS, away);
        assertTrue(back <= OBJECTS / 1000, back + " fetched anew");
        assertTrue(filled > OBJECTS / 8, "fills");
    }

    @Test
    void shouldStopAskingInVainWhenAWholeMeshWasStarted(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=2s");
        stage.mesh.edges().forEach(edge -> edge.http("log_format steps $atoll_step; access_log logs/steps.log steps;").nginx().workers(1));
        stage.start(1, 2, 3);
        int fetched = stage.fetch("/r/", 1, 2, 3);
        long first = stage.fills();
        fetched += stage.fetch("/r/more/", 1, 2, 3);
        long more = stage.fills() - first;
        Scene.print("%d objects through 3 edges that were just started: %d asked for sideways, %d of as many more", OBJECTS, first, more);
        assertEquals(2 * OBJECTS, fetched);
        assertTrue(first > 0 && first < OBJECTS / 2, first + " fills");
        assertTrue(more > OBJECTS / 32 && more < OBJECTS / 8, more + " more: one in 16, whatever is logged");
    }

    @Test
    void shouldKeepRefusalsOfPreviousOwnersFromClientsWhateverTheLimits(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=2s");
        String limits = "proxy_next_upstream_tries 1; proxy_next_upstream_timeout 1ms; proxy_request_buffering off; "
                + "proxy_cache_valid any 1m; proxy_cache_lock on;";
        for (int number = 1; number <= 3; number++) {
            stage.member(number, 1, 2, 3).caching(limits).start();
        }
        String body = "b".repeat(300_000);
        for (int i = 0; i < 60; i++) {
            String object = "/r/" + i;
            Http.Response response = i % 2 == 0 ? Http.get(stage.edge(1 + i % 3).socket(), object)
                    : Http.withBody(stage.edge(1 + i % 3).socket(), "GET", object, body);
            assertEquals(200, response.status(), object + " " + response.headers());
            assertEquals(200, Http.get(stage.edge(1 + (i + 1) % 3).socket(), object).status(), object + " again");
        }
        assertTrue(stage.fills() > 0, "previous owners were asked");
    }

    @Test
    void shouldNotWaitForItselfWhereARemovedNodeIsStillAskedByClients(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=2s");
        stage.start(1, 2, 3);
        stage.fetch("/r/", 1, 2, 3);
        stage.reload(List.of(1, 2, 3), 1, 2);
        assertEquals(OBJECTS, stage.fetch("/r/cold/", 3), "each is fetched once");
        assertEquals(0, stage.fetch("/r/", 1, 2), "fetched anew");
    }

    @Test
    void shouldGoUpWhenThePreviousOwnerIsDeadOrSlow(Scene scene) throws IOException {
        Stage stage = Stage.open(scene, 3, "10m timeout=300ms");
        stage.start(1, 2, 3);
        stage.fetch("/r/", 1, 2, 3);
        List<Long> stopped = Proc.children(stage.edge(1).nginx().pid());
        stopped.forEach(pid -> Proc.signal(pid, "STOP"));
        try {
            stage.edge(2).nginx().expectLog("timed out");
            stage.edge(3).nginx().expectLog("timed out");
            stage.reload(List.of(2, 3), 2, 3);
            long start = System.nanoTime();
            int anew = stage.fetch("/r/", 2, 3);
            Scene.print("of %d objects %d fetched anew within %d ms, when one of 3 edges was removed and stood still", OBJECTS, anew,
                    (System.nanoTime() - start) / 1_000_000);
            assertTrue(anew > OBJECTS / 8 && anew < OBJECTS * 2 / 3, anew + " fetched anew");
        } finally {
            stopped.forEach(pid -> Proc.signal(pid, "CONT"));
        }
    }
}
