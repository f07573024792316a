/** The parts of Atoll that are plain Java: ring, tables, lookup, zone, liveness. */
module io.atoll.core {
    exports io.atoll.core.ring;
    exports io.atoll.core.table;
    exports io.atoll.core.lookup;
    exports io.atoll.core.zone;
    exports io.atoll.core.liveness;
}
