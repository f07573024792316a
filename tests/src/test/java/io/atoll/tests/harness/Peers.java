package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * Servers behind a front, one nginx process each, so that each can be killed or stopped by itself. All of them hold the same
 * objects; a body carries its object's name, its version and a hash of both, and header X-Peer says who answered.
 */
public final class Peers {
    /** Objects that each peer holds: /o/0 to /o/(OBJECTS - 1). */
    public static final int OBJECTS = 2000;

    private static final int PORT = 8000;

    private final List<Nginx> peers = new ArrayList<>();
    private final List<String> names = new ArrayList<>();
    private final Path health;

    private Peers(Scene scene, int count, NetNs netns, String extra) {
        Path root = scene.file("origin");
        health = scene.file("health");
        try {
            ObjectFiles.into(Files.createDirectories(root));
            Files.createDirectories(health);
            for (int i = 0; i < count; i++) {
                names.add(scene.address(11 + i) + ":" + PORT);
                setHealth(i, 200, "well");
                peers.add(peer(scene, i, root, netns, extra));
            }
            peers.parallelStream().forEach(Nginx::start);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Starts them. */
    public static Peers start(Scene scene, int count) {
        return new Peers(scene, count, null, "");
    }

    /** Starts them inside a network namespace. */
    public static Peers start(Scene scene, int count, NetNs netns) {
        return new Peers(scene, count, netns, "");
    }

    /** Starts them with more lines in their server block. */
    public static Peers start(Scene scene, int count, String extra) {
        return new Peers(scene, count, null, extra);
    }

    /** What the body of an object must be. */
    public static String body(String name) {
        String label = "name=" + name + " version=1";
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(label.getBytes(StandardCharsets.UTF_8));
            return label + " hash=" + HexFormat.of().formatHex(hash) + "\n";
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    /** Number of peers. */
    public int size() {
        return names.size();
    }

    /** Its address, as in `server ADDRESS`. */
    public String name(int i) {
        return names.get(i);
    }

    /** Its process. */
    public Nginx nginx(int i) {
        return peers.get(i);
    }

    /** `server` lines for an upstream, each with these parameters. */
    public String servers(String parameters) {
        StringBuilder text = new StringBuilder();
        names.forEach(name -> text.append("    server ").append(name).append(' ').append(parameters).append(";\n"));
        return text.toString();
    }

    /** What its /health answers from now on. */
    public void setHealth(int i, int status, String body) {
        try {
            Path folder = Files.createDirectories(health.resolve(Integer.toString(i)));
            Path next = folder.resolve("next");
            Files.writeString(next, body);
            Files.deleteIfExists(folder.resolve("200"));
            Files.deleteIfExists(folder.resolve("500"));
            Files.deleteIfExists(folder.resolve("503"));
            if (status != 404) {
                Files.move(next, folder.resolve(Integer.toString(status)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Nginx peer(Scene scene, int i, Path root, NetNs netns, String extra) {
        Nginx nginx = Nginx.in(scene, "peer" + i).singleProcess().http("""
                server {
                    listen %s backlog=1024;
                    root %s;
                    keepalive_timeout 60s;
                    add_header X-Peer %s always;
                    location = /health {
                        root %s/%d;
                        if (-f $document_root/503) { return 503; }
                        if (-f $document_root/500) { return 500; }
                        try_files /200 =404;
                    }
                    %s
                }
                """.formatted(names.get(i), root, names.get(i), health, i, extra));
        return netns == null ? nginx : nginx.through(netns.prefix());
    }
}
