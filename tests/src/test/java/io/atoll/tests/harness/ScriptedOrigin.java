package io.atoll.tests.harness;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** An HTTP/1.1 origin whose every answer, byte by byte, is up to the scene; connections are kept alive. */
public final class ScriptedOrigin implements AutoCloseable {
    /** A request as it came; header names in lower case, several of a name joined by commas. */
    public record Request(String method, String target, Map<String, String> headers, int bodyLength) {
        /** A header's value, empty when it is missing. */
        public String header(String name) {
            return headers.getOrDefault(name, "");
        }
    }

    /** Answers a request. Called by the thread of its connection. */
    @FunctionalInterface
    public interface Script {
        /** Writes an answer; returns whether the connection is kept. */
        boolean answer(Request request, OutputStream out) throws IOException;
    }

    private final ServerSocket socket = new ServerSocket();
    private final ExecutorService threads = Executors.newCachedThreadPool();

    private ScriptedOrigin(String host, int port, Script script) throws IOException {
        socket.bind(new InetSocketAddress(host, port), 1024);
        threads.submit(() -> {
            while (!socket.isClosed()) {
                Socket connection = socket.accept();
                threads.submit(() -> serve(connection, script));
            }
            return null;
        });
    }

    /** Starts one; the caller closes it. */
    public static ScriptedOrigin start(String host, int port, Script script) throws IOException {
        return new ScriptedOrigin(host, port, script);
    }

    @Override
    public void close() throws IOException {
        socket.close();
        threads.shutdownNow();
    }

    private static Void serve(Socket connection, Script script) throws IOException {
        try (connection) {
            connection.setTcpNoDelay(true);
            InputStream in = new BufferedInputStream(connection.getInputStream());
            OutputStream out = connection.getOutputStream();
            Request request;
            do {
                request = read(in);
            } while (request != null && script.answer(request, out));
        }
        return null;
    }

    private static Request read(InputStream in) throws IOException {
        String line = line(in);
        if (line == null) {
            return null;
        }
        String[] words = line.split(" ");
        Map<String, String> headers = new TreeMap<>();
        for (String header; !(header = line(in)).isEmpty(); ) {
            int colon = header.indexOf(':');
            headers.merge(header.substring(0, colon).toLowerCase(Locale.ROOT), header.substring(colon + 1).trim(),
                    (a, b) -> a + ", " + b);
        }
        int length = Integer.parseInt(headers.getOrDefault("content-length", "0"));
        in.skipNBytes(length);
        return new Request(words[0], words[1], headers, length);
    }

    private static String line(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream(64);
        for (int c; (c = in.read()) != '\n'; ) {
            if (c < 0) {
                return null;
            }
            if (c != '\r') {
                line.write(c);
            }
        }
        return line.toString(StandardCharsets.ISO_8859_1);
    }
}
