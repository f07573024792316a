package io.atoll.jni;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.util.List;

/**
 * A compile request with a bit of everything: weights, several addresses of a name, a name without port, a unix socket,
 * {@code down}, {@code backup}, an upstream of one peer. The class-data archive is made from a run over it, so it should
 * reach every class that a compile needs.
 */
public final class SampleRequest {
    private SampleRequest() {}

    /** The request; a new one for each caller. */
    public static CompileRequest create() {
        Upstream many = new Upstream("many", List.of(
                new Peer("10.0.0.1:80"),
                new Peer("10.0.0.2:80", 5),
                new Peer("cache.example", 2),
                new Peer("cache.example", 2),
                new Peer("unix:/run/cache.sock"),
                new Peer("10.0.0.3:80").withFlags(PeerFlag.DOWN),
                new Peer("10.0.0.4:80").withFlags(PeerFlag.BACKUP),
                new Peer("10.0.0.5:80", 3).withFlags(PeerFlag.BACKUP)));
        Upstream one = new Upstream("one", List.of(new Peer("127.0.0.1:8080")));
        return new CompileRequest(List.of(many, one));
    }

    /**
     * Compiles the sample once.
     *
     * @param arguments none
     */
    public static void main(String[] arguments) {
        CompileEntry.compile(create().region());
    }
}
