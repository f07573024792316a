package io.atoll.agent.testing;

import java.nio.charset.StandardCharsets;

import jnr.ffi.LibraryLoader;

/** An AF_UNIX datagram socket to receive on: what a service manager has. */
public final class DatagramSocket implements AutoCloseable {
    private static final int AF_UNIX = 1;
    private static final int SOCK_DGRAM = 2;
    private static final int SOL_SOCKET = 1;
    private static final int SO_RCVTIMEO = 20;

    /** Bound by jnr-ffi. */
    public interface Sockets {
        int socket(int domain, int type, int protocol);

        int bind(int fd, byte[] address, int length);

        int setsockopt(int fd, int level, int name, long[] value, int length);

        long recv(int fd, byte[] buffer, long length, int flags);

        int close(int fd);
    }

    private static final Sockets LIBC = LibraryLoader.create(Sockets.class).load("c");

    private final int fd;

    /** @param name a path, or @name in the abstract namespace */
    public DatagramSocket(String name) {
        fd = LIBC.socket(AF_UNIX, SOCK_DGRAM, 0);
        byte[] path = name.getBytes(StandardCharsets.UTF_8);
        byte[] address = new byte[2 + path.length];
        address[0] = AF_UNIX;
        System.arraycopy(path, 0, address, 2, path.length);
        if (path[0] == '@') {
            address[2] = 0;
        }
        if (LIBC.bind(fd, address, address.length) != 0
                || LIBC.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new long[] {20, 0}, 16) != 0) {
            throw new IllegalStateException("cannot bind " + name);
        }
    }

    /** The next datagram, within 20 s. */
    public String receive() {
        byte[] buffer = new byte[4096];
        long length = LIBC.recv(fd, buffer, buffer.length, 0);
        if (length < 0) {
            throw new AssertionError("no datagram within 20 s");
        }
        return new String(buffer, 0, (int) length, StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        LIBC.close(fd);
    }
}
