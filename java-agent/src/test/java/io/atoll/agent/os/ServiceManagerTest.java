package io.atoll.agent.os;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.Map;

import io.atoll.agent.testing.DatagramSocket;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServiceManagerTest {
    @Test
    void shouldTellAManagerAtAPath(@TempDir Path folder) {
        assertTold(folder.resolve("notify").toString());
    }

    @Test
    void shouldTellAManagerInTheAbstractNamespace() {
        assertTold("@atoll-test-" + ProcessHandle.current().pid());
    }

    private static void assertTold(String name) {
        try (DatagramSocket socket = new DatagramSocket(name)) {
            ServiceManager manager = new ServiceManager(Map.of("NOTIFY_SOCKET", name, "WATCHDOG_USEC", "3000000"));
            assertEquals(3000, manager.watchdogMs());
            manager.ready("one");
            assertEquals("READY=1\nSTATUS=one", socket.receive());
            manager.status("two");
            assertEquals("STATUS=two", socket.receive());
            manager.watchdog();
            assertEquals("WATCHDOG=1", socket.receive());
            manager.stopping();
            assertEquals("STOPPING=1", socket.receive());
        }
    }

    @Test
    void shouldDoNothingWithoutAManager() {
        ServiceManager manager = new ServiceManager(Map.of("WATCHDOG_USEC", "often"));
        manager.ready("x");
        assertEquals(0, manager.watchdogMs());
    }

    @Test
    void shouldGoOnWhenTheManagerIsGone() {
        new ServiceManager(Map.of("NOTIFY_SOCKET", "/nowhere/notify")).watchdog();
    }
}
