package io.atoll.tests.harness;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/** A small server of a protocol that nginx itself does not serve, or one that keeps its callers waiting. */
public final class Backend implements AutoCloseable {
    /** Reads one request and writes its answer. */
    @FunctionalInterface
    public interface Protocol {
        /** Answers one request; the connection is closed afterwards. */
        void answer(InputStream in, OutputStream out) throws IOException;
    }

    private final ServerSocket socket = new ServerSocket();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final AtomicInteger requests = new AtomicInteger();
    private final Future<Void> accepting;

    private Backend(String host, int port, Protocol protocol) throws IOException {
        socket.bind(new InetSocketAddress(host, port), 1024);
        accepting = threads.submit(() -> {
            while (!socket.isClosed()) {
                Socket connection = socket.accept();
                threads.submit(() -> serve(connection, protocol));
            }
            return null;
        });
    }

    /** Starts one; the scene ends it. */
    public static Backend start(Scene scene, String host, int port, Protocol protocol) {
        try {
            return scene.keep(new Backend(host, port, protocol));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Requests so far, those still waiting included. */
    public int requests() {
        return requests.get();
    }

    /** Refuses connections from here on. */
    @Override
    public void close() throws IOException {
        socket.close();
        try {
            // until a blocked accept() is back, the kernel goes on to take connections
            accepting.get(5, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            // as a closed socket ends it
        } catch (InterruptedException | TimeoutException e) {
            throw new IOException(e);
        } finally {
            threads.shutdownNow();
        }
    }

    private Void serve(Socket connection, Protocol protocol) throws IOException {
        try (connection) {
            requests.incrementAndGet();
            protocol.answer(connection.getInputStream(), connection.getOutputStream());
        }
        return null;
    }

    /** HTTP/1.0: reads a request's head, waits for the gate, answers 200. */
    public static Protocol http(Runnable gate) {
        return (in, out) -> {
            readHead(in);
            gate.run();
            out.write("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".getBytes(StandardCharsets.US_ASCII));
        };
    }

    /** HTTP/1.1 that keeps its connections, and ends each when a second request has come over it: what a reload looks like. */
    public static Protocol httpOnceKept() {
        return (in, out) -> {
            readHead(in);
            out.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".getBytes(StandardCharsets.US_ASCII));
            out.flush();
            readHead(in);
        };
    }

    /** FastCGI responder (one request a connection): answers its name. */
    public static Protocol fastcgi(String name) {
        return (in, out) -> {
            DataInputStream data = new DataInputStream(in);
            int type;
            int length;
            do {
                data.readUnsignedByte();
                type = data.readUnsignedByte();
                data.readUnsignedShort();
                length = data.readUnsignedShort();
                int padding = data.readUnsignedByte();
                data.readUnsignedByte();
                data.skipNBytes(length + padding);
            } while (type != 5 || length != 0);
            byte[] body = ("Status: 200\r\nContent-Type: text/plain\r\n\r\n" + name).getBytes(StandardCharsets.US_ASCII);
            out.write(new byte[] {1, 6, 0, 1, (byte) (body.length >> 8), (byte) body.length, 0, 0});
            out.write(body);
            out.write(new byte[] {1, 6, 0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
        };
    }

    /** uwsgi: answers its name. */
    public static Protocol uwsgi(String name) {
        return (in, out) -> {
            DataInputStream data = new DataInputStream(in);
            data.readUnsignedByte();
            int length = data.readUnsignedByte() | data.readUnsignedByte() << 8;
            data.readUnsignedByte();
            data.skipNBytes(length);
            out.write(("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + name).getBytes(StandardCharsets.US_ASCII));
        };
    }

    /** SCGI: answers its name. */
    public static Protocol scgi(String name) {
        return (in, out) -> {
            StringBuilder length = new StringBuilder();
            for (int c; (c = in.read()) != ':'; ) {
                length.append((char) c);
            }
            in.skipNBytes(Integer.parseInt(length.toString()) + 1L);
            out.write(("Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n" + name).getBytes(StandardCharsets.US_ASCII));
        };
    }

    private static void readHead(InputStream in) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        while (!head.toString(StandardCharsets.ISO_8859_1).endsWith("\r\n\r\n")) {
            int c = in.read();
            if (c < 0) {
                throw new EOFException("closed within a request's head");
            }
            head.write(c);
        }
    }
}
