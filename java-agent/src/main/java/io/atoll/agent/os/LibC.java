package io.atoll.agent.os;

import jnr.ffi.Pointer;
import jnr.ffi.types.size_t;
import jnr.ffi.types.ssize_t;

/** The few calls of the C library that the JDK does not offer. Bound by jnr-ffi; see {@link Posix}. */
public interface LibC {
    /** {@code struct timespec} of two 64-bit words is written to {@code time}. */
    int clock_gettime(int clock, Pointer time);

    int kill(int pid, int signal);

    int socket(int domain, int type, int protocol);

    @ssize_t long sendto(int fd, byte[] bytes, @size_t long length, int flags, byte[] address, int addressLength);

    int close(int fd);
}
