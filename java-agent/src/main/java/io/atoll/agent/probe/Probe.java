package io.atoll.agent.probe;

import java.util.function.Consumer;

/** Something that can be asked how a peer is, again and again, one question at a time. */
public interface Probe extends AutoCloseable {
    /** Begins a probe; done is called once, on the event loop, unless {@link #close} comes first. */
    void start(Consumer<ProbeOutcome> done);

    /** Lets go of connections; the outcome of a probe under way is not told. */
    @Override
    void close();
}
