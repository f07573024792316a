package io.atoll.core.zone;

/** Why a peer gets no traffic. The ordinal is the index of its word in layout record {@code peer_state}. */
public enum Reason {
    /** An operator's drain or maintenance; stands until lifted. */
    ADMIN,
    /** This node's probes. */
    PROBE,
    /** The agents' common view. */
    QUORUM,
    /** Failed real requests, counted by the workers: nobody else writes it. */
    PASSIVE
}
