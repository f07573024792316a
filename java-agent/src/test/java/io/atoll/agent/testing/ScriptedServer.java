package io.atoll.agent.testing;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

import javax.net.ServerSocketFactory;

/** A server on loopback that does with each connection what the test says. */
public final class ScriptedServer implements AutoCloseable {
    /** What happens on one connection; it is closed afterwards. */
    @FunctionalInterface
    public interface Script {
        void serve(Connection connection) throws IOException, InterruptedException;
    }

    /** One accepted connection. */
    public final class Connection {
        private final Socket socket;
        private final InputStream in;

        private Connection(Socket socket) throws IOException {
            this.socket = socket;
            this.in = new BufferedInputStream(socket.getInputStream());
        }

        /** Reads one request; null when the client closed before its first byte. */
        public String readRequest() throws IOException {
            StringBuilder head = new StringBuilder();
            int next;
            while ((next = in.read()) >= 0) {
                head.append((char) next);
                if (head.length() >= 4 && head.substring(head.length() - 4).equals("\r\n\r\n")) {
                    requests.add(head.toString());
                    return head.toString();
                }
            }
            return null;
        }

        public void send(String text) throws IOException {
            OutputStream out = socket.getOutputStream();
            out.write(text.getBytes(StandardCharsets.ISO_8859_1));
            out.flush();
        }

        /** Ends the connection with a reset. */
        public void reset() throws IOException {
            socket.setSoLinger(true, 0);
            socket.close();
        }
    }

    private final ServerSocket listener;
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private final List<String> requests = new CopyOnWriteArrayList<>();
    private final AtomicInteger accepted = new AtomicInteger();
    private final ExecutorService threads = Executors.newCachedThreadPool(run -> {
        Thread thread = new Thread(run, "scripted");
        thread.setDaemon(true);
        return thread;
    });
    private final CompletableFuture<Void> accepting;
    private volatile Script script;

    /** Listens at once. */
    public ScriptedServer(Script script) throws IOException {
        this(ServerSocketFactory.getDefault(), 0, script);
    }

    public ScriptedServer(ServerSocketFactory factory, int port, Script script) throws IOException {
        this.script = script;
        this.listener = factory.createServerSocket();
        listener.setReuseAddress(true);
        listener.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 200);
        accepting = CompletableFuture.runAsync(this::accept, threads);
    }

    /** Answers each request of a connection with the same bytes. */
    public static Script always(String response) {
        return connection -> {
            while (connection.readRequest() != null) {
                connection.send(response);
            }
        };
    }

    /** An answer with its length. */
    public static String response(int status, String body) {
        return "HTTP/1.1 " + status + " Any\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
    }

    private void accept() {
        while (!listener.isClosed()) {
            try {
                Socket socket = listener.accept();
                accepted.incrementAndGet();
                open.add(socket);
                threads.execute(() -> serve(socket));
            } catch (IOException e) {
                return;
            }
        }
    }

    private void serve(Socket socket) {
        try (socket) {
            script.serve(new Connection(socket));
        } catch (IOException e) {
            // the client went away, which it may
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            open.remove(socket);
        }
    }

    public void setScript(Script next) {
        script = next;
    }

    public InetSocketAddress address() {
        return (InetSocketAddress) listener.getLocalSocketAddress();
    }

    public int accepted() {
        return accepted.get();
    }

    public List<String> requests() {
        return requests;
    }

    /** Takes no new connections; those that are open go on. */
    public void stopListening() throws IOException {
        listener.close();
        // Until accept() has returned, the kernel keeps the socket.
        accepting.join();
    }

    /** Cuts open connections; new ones are taken. */
    public void cutConnections() throws IOException {
        for (Socket socket : open) {
            socket.close();
        }
    }

    @Override
    public void close() throws IOException {
        stopListening();
        cutConnections();
        threads.shutdownNow();
    }
}
