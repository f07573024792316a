package io.atoll.tests.harness;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ProtocolException;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * One HTTP/1.1 connection over TCP or a unix socket, kept alive, with pipelining. One thread. What is no whole and well-formed answer is an
 * IOException.
 */
public final class Http implements AutoCloseable {
    /** A response, read whole; header names in lower case. */
    public record Response(int status, Map<String, String> headers, String body) {
        /** A header's value, empty when it is missing. */
        public String header(String name) {
            return headers.getOrDefault(name.toLowerCase(Locale.ROOT), "");
        }
    }

    private static final int PIPELINE = 64;
    private static final Pattern STATUS = Pattern.compile("HTTP/1\\.[01] [1-9][0-9][0-9]( .*)?");

    private final SocketChannel channel;
    private final Selector selector;
    private final SelectionKey key;
    private final long timeoutMs;
    private final ByteBuffer in = ByteBuffer.allocate(1 << 16).flip();
    private long deadline;
    private boolean closing;

    private Http(SocketAddress address, Duration timeout) throws IOException {
        timeoutMs = timeout.toMillis();
        channel = address instanceof UnixDomainSocketAddress
                ? SocketChannel.open(java.net.StandardProtocolFamily.UNIX) : SocketChannel.open();
        selector = Selector.open();
        try {
            channel.configureBlocking(false);
            key = channel.register(selector, 0);
            startClock();
            if (!channel.connect(address)) {
                await(SelectionKey.OP_CONNECT);
                channel.finishConnect();
            }
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /** Opens a connection; every later answer has to arrive whole within the timeout. */
    public static Http open(SocketAddress address, Duration timeout) throws IOException {
        return new Http(address, timeout);
    }

    /** One request on a connection of its own, with ten seconds for the answer. */
    public static Response get(SocketAddress address, String target, String... headers) throws IOException {
        return once(address, "GET", target, headers);
    }

    /** One request with a method on a connection of its own. */
    public static Response once(SocketAddress address, String method, String target, String... headers)
            throws IOException {
        try (Http http = open(address, Duration.ofSeconds(10))) {
            return http.send(method, target, headers);
        }
    }

    /** One request with a body, in ASCII, on a connection of its own. */
    public static Response withBody(SocketAddress address, String method, String target, String body, String... headers)
            throws IOException {
        List<String> all = new ArrayList<>(List.of(headers));
        all.add("Content-Length: " + body.length());
        try (Http http = open(address, Duration.ofSeconds(10))) {
            http.startClock();
            http.write(request(method, target, all.toArray(new String[0])) + body);
            return http.read(method);
        }
    }

    /** An address as nginx writes it: `127.0.0.1:80` or `unix:/path`. */
    public static SocketAddress address(String text) {
        if (text.startsWith("unix:")) {
            return UnixDomainSocketAddress.of(Path.of(text.substring(5)));
        }
        int colon = text.lastIndexOf(':');
        return new InetSocketAddress(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
    }

    /** True when the server said that it closes the connection after the last answer. */
    public boolean isClosing() {
        return closing;
    }

    /** Sends a GET and reads its answer. */
    public Response send(String target) throws IOException {
        return send("GET", target);
    }

    /** Sends a request with `Name: value` headers and reads its answer. */
    public Response send(String method, String target, String... headers) throws IOException {
        startClock();
        write(request(method, target, headers));
        return read(method);
    }

    /** Sends GETs ahead of their answers; the server takes them one after the other. */
    public List<Response> pipeline(List<String> targets) throws IOException {
        List<Response> responses = new ArrayList<>(targets.size());
        for (int sent = 0; responses.size() < targets.size(); ) {
            startClock();
            StringBuilder batch = new StringBuilder();
            for (; sent < targets.size() && sent < responses.size() + PIPELINE; sent++) {
                batch.append(request("GET", targets.get(sent)));
            }
            write(batch.toString());
            for (int half = Math.max(1, (sent - responses.size() + 1) / 2); half > 0; half--) {
                responses.add(read("GET"));
            }
        }
        return responses;
    }

    @Override
    public void close() throws IOException {
        try {
            channel.close();
        } finally {
            selector.close();
        }
    }

    private static String request(String method, String target, String... headers) {
        StringBuilder text = new StringBuilder(method).append(' ').append(target).append(" HTTP/1.1\r\nHost: atoll\r\n");
        for (String header : headers) {
            text.append(header).append("\r\n");
        }
        return text.append("\r\n").toString();
    }

    private void startClock() {
        deadline = System.nanoTime() + timeoutMs * 1_000_000;
    }

    private void write(String text) throws IOException {
        ByteBuffer out = ByteBuffer.wrap(text.getBytes(StandardCharsets.ISO_8859_1));
        while (out.hasRemaining()) {
            if (channel.write(out) == 0) {
                await(SelectionKey.OP_WRITE);
            }
        }
    }

    private Response read(String method) throws IOException {
        String first = line();
        if (!STATUS.matcher(first).matches()) {
            throw new ProtocolException("no status line: " + first);
        }
        int status = Integer.parseInt(first.substring(9, 12));
        Map<String, String> headers = new HashMap<>();
        for (String line; !(line = line()).isEmpty(); ) {
            int colon = line.indexOf(':');
            if (colon <= 0) {
                throw new ProtocolException("no header: " + line);
            }
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
        }
        closing = headers.getOrDefault("connection", "").equalsIgnoreCase("close");
        return new Response(status, headers, body(method, status, headers));
    }

    private String body(String method, int status, Map<String, String> headers) throws IOException {
        if (method.equals("HEAD") || status == 204 || status == 304) {
            return "";
        }
        StringBuilder body = new StringBuilder();
        if (headers.getOrDefault("transfer-encoding", "").equalsIgnoreCase("chunked")) {
            for (int size; (size = size(line(), 16)) > 0; line()) {
                take(size, body);
            }
            line();
        } else if (headers.containsKey("content-length")) {
            take(size(headers.get("content-length"), 10), body);
        } else {
            closing = true;
            while (in.hasRemaining() || fill()) {
                take(in.remaining(), body);
            }
        }
        return body.toString();
    }

    private static int size(String text, int radix) throws IOException {
        try {
            return Math.toIntExact(Long.parseUnsignedLong(text.trim(), radix));
        } catch (NumberFormatException | ArithmeticException e) {
            throw new ProtocolException("no size of a body: " + text);
        }
    }

    private String line() throws IOException {
        StringBuilder line = new StringBuilder(64);
        while (true) {
            char c = (char) (next() & 0xff);
            if (c == '\n') {
                return line.toString();
            }
            if (c != '\r') {
                line.append(c);
            }
        }
    }

    private void take(int count, StringBuilder body) throws IOException {
        for (int left = count; left > 0; ) {
            if (!in.hasRemaining() && !fill()) {
                throw new EOFException("closed " + left + " bytes before the end of the body");
            }
            int part = Math.min(left, in.remaining());
            body.append(StandardCharsets.ISO_8859_1.decode(in.slice(in.position(), part)));
            in.position(in.position() + part);
            left -= part;
        }
    }

    private byte next() throws IOException {
        if (!in.hasRemaining() && !fill()) {
            throw new EOFException("closed before an answer");
        }
        return in.get();
    }

    private boolean fill() throws IOException {
        in.clear();
        try {
            int count;
            while ((count = channel.read(in)) == 0) {
                await(SelectionKey.OP_READ);
            }
            return count > 0;
        } finally {
            in.flip();
        }
    }

    private void await(int operation) throws IOException {
        key.interestOps(operation);
        long left = (deadline - System.nanoTime()) / 1_000_000;
        selector.selectedKeys().clear();
        if (left <= 0 || selector.select(left) == 0) {
            throw new SocketTimeoutException("no answer within " + timeoutMs + " ms");
        }
    }
}
