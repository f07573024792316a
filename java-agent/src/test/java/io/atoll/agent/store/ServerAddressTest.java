package io.atoll.agent.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;

import io.atoll.core.zone.MemberChange.Address;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ServerAddressTest {
    @ParameterizedTest
    @CsvSource({
        "10.0.0.1, 10.0.0.1:80",
        "10.0.0.1:8080, 10.0.0.1:8080",
        "[::1]:81, [::1]:81",
        "[2001:DB8:0:0:1:0:0:1], [2001:db8::1:0:0:1]:80",
        "[0:0:0:0:0:0:0:0]:1, [::]:1",
        "[1:0:2:3:4:5:6:7]:1, [1:0:2:3:4:5:6:7]:1",
        "unix:/run/a.sock, unix:/run/a.sock"})
    void shouldPrintAddressesAsNginxDoes(String server, String printed) {
        assertEquals(List.of(printed), ServerAddress.resolve(server).stream().map(Address::text).toList());
        assertEquals(printed, ServerAddress.literal(printed).text());
        assertFalse(ServerAddress.isName(server));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "a b", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "10.0.0.1:1:2", "[::1",
        "[::1]80", "[nobody]:80", "unix:a.sock", "-a", "a/b", "999.0.0.1", "300.1.1.1:80", "10.0.0.256",
        "1000.0.0.1"})
    void shouldRefuseWhatNginxWouldNotTake(String server) {
        assertThrows(IllegalArgumentException.class, () -> ServerAddress.check(server));
    }

    @Test
    void shouldKnowNames() {
        assertTrue(ServerAddress.isName("cache1.example:80"));
        ServerAddress.check("cache_1.example.");
        ServerAddress.check("10.0.0.1.example");
    }

    /** Such a name would be one for the system's resolver, which may keep the agent's event loop waiting. */
    @Test
    void shouldTellByThePatternAloneThatFourNumbersAreNoAddress() {
        assertEquals("an IPv4 address of four numbers from 0 to 255",
                assertThrows(IllegalArgumentException.class, () -> ServerAddress.check("300.1.1.1")).getMessage());
        assertThrows(IllegalArgumentException.class, () -> ServerAddress.literal("300.1.1.1:80"));
        ServerAddress.check("255.255.255.255");
    }
}
