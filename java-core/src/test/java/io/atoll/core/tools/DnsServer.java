package io.atoll.core.tools;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** A name server for tests, over UDP and TCP on one port of one loopback address. What it has and how it behaves may change at any time. */
public final class DnsServer implements AutoCloseable {
    /** How it behaves. */
    public enum Mode {
        /** As it should. */
        ANSWER,
        /** Takes queries and says nothing. */
        SILENT,
        /** Says SERVFAIL. */
        SERVFAIL,
        /** Says that there is no such name. */
        NXDOMAIN,
        /** Sends bytes that are no message. */
        NOISE,
        /** Sends messages that end within their last record. */
        CUT,
        /** Sends messages without the last of the records that they count. */
        SHORT,
        /** Sends messages whose last record is garbage. */
        GARBLED,
        /** Says that not all records fit, and sends one. */
        TRUNCATED,
        /** Sends records whose data is not of their kind. */
        WRONG_DATA
    }

    private static final int A = 1;
    private static final int CNAME = 5;
    private static final int AAAA = 28;
    private static final int SRV = 33;
    private static final int UDP_LIMIT = 512;

    private record Entry(int type, int ttl, byte[] data) {}

    private final InetSocketAddress address;
    private final Map<String, List<Entry>> records = new ConcurrentHashMap<>();
    private final Map<String, AtomicInteger> queries = new ConcurrentHashMap<>();
    private final AtomicInteger tcpQueries = new AtomicInteger();
    private volatile Mode mode = Mode.ANSWER;
    private volatile int silentType;
    private volatile boolean wellOverTcp;
    private volatile DatagramSocket udp;
    private volatile ServerSocket tcp;

    /** Listens on a free port of 127.0.0.1. */
    public static DnsServer start() {
        return start("127.0.0.1");
    }

    /** Listens on a free port of this address. */
    public static DnsServer start(String host) {
        for (int tries = 1;; tries++) {
            try {
                DatagramSocket udp = new DatagramSocket(new InetSocketAddress(host, 0));
                DnsServer server = new DnsServer(new InetSocketAddress(host, udp.getLocalPort()));
                server.serve(udp);
                return server;
            } catch (BindException e) {
                // the port is free for UDP, but not for TCP
                if (tries == 20) {
                    throw new UncheckedIOException(e);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private DnsServer(InetSocketAddress address) {
        this.address = address;
    }

    private void serve(DatagramSocket datagrams) throws IOException {
        ServerSocket streams = new ServerSocket();
        try {
            streams.setReuseAddress(true);
            streams.bind(address);
        } catch (IOException e) {
            datagrams.close();
            streams.close();
            throw e;
        }
        udp = datagrams;
        tcp = streams;
        run("dns udp", this::serveUdp);
        run("dns tcp", this::serveTcp);
    }

    private static void run(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
    }

    /** IP:PORT or [IPV6]:PORT. */
    public String address() {
        String host = address.getAddress().getHostAddress();
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort();
    }

    /**
     * A name server as a process of its own, as for another network namespace: ADDRESS NAME=IP,IP..., with a time to live of a second. Says its address and
     * serves until its input ends.
     */
    public static void main(String[] args) throws IOException {
        try (DnsServer server = start(args[0])) {
            for (String host : List.of(args).subList(1, args.length)) {
                String[] parts = host.split("=", 2);
                server.host(parts[0], 1, parts[1].split(","));
            }
            System.out.println(server.address());
            while (System.in.read() >= 0) { }
        }
    }

    // ---- what it has

    /** The A and AAAA records of a name, instead of those before; none: the name is there without. */
    public DnsServer host(String name, int ttl, String... addresses) {
        List<Entry> entries = new ArrayList<>();
        for (String text : addresses) {
            byte[] bytes = bytes(text);
            entries.add(new Entry(bytes.length == 4 ? A : AAAA, ttl, bytes));
        }
        return put(name, entries);
    }

    /** The SRV records of a name, each as "PRIORITY WEIGHT PORT TARGET", instead of those before. */
    public DnsServer service(String name, int ttl, String... targets) {
        List<Entry> entries = new ArrayList<>();
        for (String text : targets) {
            String[] parts = text.split(" ");
            ByteBuffer data = ByteBuffer.allocate(512);
            for (int i = 0; i < 3; i++) {
                data.putShort((short) Integer.parseInt(parts[i]));
            }
            data.put(name(parts[3]));
            entries.add(new Entry(SRV, ttl, Arrays.copyOf(data.array(), data.position())));
        }
        return put(name, entries);
    }

    /** An alias of another name. */
    public DnsServer alias(String name, int ttl, String target) {
        return put(name, List.of(new Entry(CNAME, ttl, name(target))));
    }

    private DnsServer put(String name, List<Entry> entries) {
        records.put(key(name), entries);
        return this;
    }

    /** From now on there is no such name. */
    public DnsServer without(String name) {
        records.remove(key(name));
        return this;
    }

    public DnsServer mode(Mode other) {
        mode = other;
        return this;
    }

    /** Whether its mode is about UDP alone; it answers over TCP as it should then. */
    public DnsServer wellOverTcp(boolean well) {
        wellOverTcp = well;
        return this;
    }

    /** Says nothing to queries for AAAA records from now on, or for no type ("") any more. */
    public DnsServer silentFor(String type) {
        silentType = type.equals("AAAA") ? AAAA : 0;
        return this;
    }

    /** How often a name was asked for, whatever the type. */
    public int queries(String name) {
        AtomicInteger count = queries.get(key(name));
        return count == null ? 0 : count.get();
    }

    /** Queries that came over TCP. */
    public int tcpQueries() {
        return tcpQueries.get();
    }

    // ---- its life

    /** Dies: nobody listens on its port any more. */
    public void stop() {
        try {
            udp.close();
            tcp.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Listens over UDP alone from now on. */
    public DnsServer withoutTcp() {
        try {
            tcp.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return this;
    }

    /** Is back, on the same port. */
    public void restart() {
        try {
            serve(new DatagramSocket(address));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        stop();
    }

    // ---- serving

    private void serveUdp() {
        DatagramSocket socket = udp;
        byte[] buffer = new byte[4096];
        while (!socket.isClosed()) {
            try {
                DatagramPacket query = new DatagramPacket(buffer, buffer.length);
                socket.receive(query);
                byte[] answer = answer(Arrays.copyOf(buffer, query.getLength()), UDP_LIMIT, mode);
                if (answer != null) {
                    socket.send(new DatagramPacket(answer, answer.length, query.getSocketAddress()));
                }
            } catch (IOException | RuntimeException e) {
                // closed, or not a query
            }
        }
    }

    private void serveTcp() {
        ServerSocket socket = tcp;
        while (!socket.isClosed()) {
            try (Socket client = socket.accept()) {
                client.setSoTimeout(2000);
                DataInputStream in = new DataInputStream(client.getInputStream());
                byte[] query = new byte[in.readUnsignedShort()];
                in.readFully(query);
                tcpQueries.incrementAndGet();
                byte[] answer = answer(query, Integer.MAX_VALUE, wellOverTcp ? Mode.ANSWER : mode);
                if (answer != null) {
                    DataOutputStream out = new DataOutputStream(client.getOutputStream());
                    out.writeShort(answer.length);
                    out.write(answer);
                    out.flush();
                }
            } catch (IOException | RuntimeException e) {
                // closed, or not a query
            }
        }
    }

    /** Null for none. */
    private byte[] answer(byte[] query, int limit, Mode now) throws IOException {
        int end = 12;
        StringBuilder name = new StringBuilder();
        while (query[end] != 0) {
            name.append(name.isEmpty() ? "" : ".").append(new String(query, end + 1, query[end], StandardCharsets.US_ASCII));
            end += query[end] + 1;
        }
        int type = (query[end + 1] & 0xff) << 8 | query[end + 2] & 0xff;
        byte[] question = Arrays.copyOfRange(query, 12, end + 5);
        queries.computeIfAbsent(key(name.toString()), n -> new AtomicInteger()).incrementAndGet();
        List<Entry> known = records.get(key(name.toString()));
        return type == silentType ? null : switch (now) {
            case SILENT -> null;
            case NOISE -> Arrays.copyOf(query, 7);
            case SERVFAIL -> message(query, question, 2, List.of(), limit);
            case NXDOMAIN -> message(query, question, 3, List.of(), limit);
            case TRUNCATED -> {
                byte[] message = message(query, question, known == null ? 3 : 0, wanted(known, type, now).stream().limit(1).toList(), limit);
                message[2] |= 0x02;
                yield message;
            }
            default -> {
                List<byte[]> wanted = wanted(known, type, now);
                byte[] message = message(query, question, known == null ? 3 : 0, wanted, limit);
                yield wanted.isEmpty() ? message : spoilt(message, wanted.get(wanted.size() - 1).length, now);
            }
        };
    }

    private static byte[] spoilt(byte[] message, int last, Mode now) {
        int before = message.length - last;
        if (now == Mode.GARBLED) {
            // a name that begins with a pointer behind the message
            message[before] = (byte) 0xff;
        }
        return now == Mode.CUT ? Arrays.copyOf(message, message.length - 3) : now == Mode.SHORT ? Arrays.copyOf(message, before) : message;
    }

    private List<byte[]> wanted(List<Entry> known, int type, Mode now) throws IOException {
        List<byte[]> wanted = new ArrayList<>();
        for (Entry entry : known == null ? List.<Entry>of() : known) {
            if (entry.type() == type || entry.type() == CNAME) {
                wanted.add(record(new byte[] {(byte) 0xc0, 12}, entry, now));
            }
            if (entry.type() == CNAME) {
                String target = text(entry.data());
                for (Entry end : records.getOrDefault(key(target), List.of())) {
                    if (end.type() == type) {
                        wanted.add(record(name(target), end, now));
                    }
                }
            }
        }
        return wanted;
    }

    private static byte[] record(byte[] owner, Entry entry, Mode now) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        byte[] data = now == Mode.WRONG_DATA ? new byte[] {9, 9, 9} : entry.data();
        out.write(owner);
        out.writeShort(entry.type());
        out.writeShort(1);
        out.writeInt(entry.ttl());
        out.writeShort(data.length);
        out.write(data);
        return bytes.toByteArray();
    }

    private static byte[] message(byte[] query, byte[] question, int code, List<byte[]> answers, int limit) throws IOException {
        int length = 12 + question.length + answers.stream().mapToInt(record -> record.length).sum();
        boolean cut = length > limit;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.write(query, 0, 2);
        out.writeShort(0x8180 | (cut ? 0x0200 : 0) | code);
        out.writeShort(1);
        out.writeShort(cut ? 0 : answers.size());
        out.writeInt(0);
        out.write(question);
        for (byte[] record : cut ? List.<byte[]>of() : answers) {
            out.write(record);
        }
        return bytes.toByteArray();
    }

    private static byte[] name(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (String label : key(text).split("\\.")) {
            bytes.write(label.length());
            bytes.writeBytes(label.getBytes(StandardCharsets.US_ASCII));
        }
        bytes.write(0);
        return bytes.toByteArray();
    }

    private static String text(byte[] name) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; name[i] != 0; i += name[i] + 1) {
            text.append(text.isEmpty() ? "" : ".").append(new String(name, i + 1, name[i], StandardCharsets.US_ASCII));
        }
        return text.toString();
    }

    private static String key(String name) {
        return (name.endsWith(".") ? name.substring(0, name.length() - 1) : name).toLowerCase(Locale.ROOT);
    }

    private static byte[] bytes(String address) {
        try {
            return InetAddress.getByName(address).getAddress();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
