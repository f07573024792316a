package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;

import io.atoll.agent.config.AgentConfig.Families;
import org.junit.jupiter.api.Test;

class HostFamiliesTest {
    private static Families of(String... addresses) throws UnknownHostException {
        List<InetAddress> list = new ArrayList<>();
        for (String address : addresses) {
            list.add(InetAddress.getByName(address));
        }
        return HostFamilies.of(list);
    }

    @Test
    void shouldAskForTheFamiliesThatTheHostHasBesidesLocalhost() throws Exception {
        assertEquals(Families.IPV4, of("127.0.0.1", "::1", "10.0.0.1"));
        assertEquals(Families.IPV6, of("127.0.0.1", "::1", "fd00::1"));
        assertEquals(Families.BOTH, of("127.0.0.1", "::1", "10.0.0.1", "fe80::1"));
        assertEquals(Families.IPV4, of("127.0.0.1", "127.0.0.2"));
        assertEquals(Families.BOTH, of("127.0.0.1", "::1"), "none of its own says nothing");
        assertEquals(Families.BOTH, of());
    }
}
