package io.atoll.agent.view;

import java.util.List;

/**
 * What a changing call did.
 *
 * @param action drain, undrain or maintenance
 * @param peers  whom it was about
 */
public record ChangeView(String action, List<ChangedPeer> peers) {
    /**
     * One peer.
     *
     * @param zone     path of its zone
     * @param upstream its upstream
     * @param server   its server
     * @param address  its address
     */
    public record ChangedPeer(String zone, String upstream, String server, String address) {}
}
