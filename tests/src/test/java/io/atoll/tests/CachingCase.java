package io.atoll.tests;

import io.atoll.tests.harness.ScriptedOrigin;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One caching case, as a script: what the origin answers, in turn (the last answer repeats), and what clients ask. `asked` has a
 * letter for each request of the clients: what the origin saw meanwhile. F: a request without a condition, R: a revalidation, 2: two
 * requests, -: nothing.
 *
 * <p>Texts of headers may hold a moment: `{+60}` is the HTTP date 60 seconds after the case was made, `{@+60}` its seconds since 1970.
 */
final class CachingCase {
    private static final Pattern MOMENT = Pattern.compile("\\{(@?)([+-]\\d+)}");
    private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d*)");
    private static final DateTimeFormatter DATE = DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.US)
            .withZone(ZoneOffset.UTC);

    /** How an answer's body is sent. */
    enum Framing {
        /** With Content-Length. */
        LENGTH,
        /** In chunks of up to 1000 bytes. */
        CHUNKED,
        /** To the end of the connection. */
        CLOSE,
        /** With Content-Length, and the connection is closed before the last byte. */
        CUT,
        /** Nothing at all, and the connection is closed. */
        NONE,
        /** Nothing for much longer than nginx waits. */
        SILENT,
        /** A header that is none. */
        GARBAGE
    }

    /** One answer. body null: a line with the number of the request, so that a copy is told from another answer. */
    record Answer(int status, List<String> headers, byte[] body, Framing framing) {
        Answer body(byte[] bytes) {
            return new Answer(status, headers, bytes, framing);
        }

        Answer body(String text) {
            return body(text.getBytes(StandardCharsets.ISO_8859_1));
        }

        Answer sent(Framing how) {
            return new Answer(status, headers, body, how);
        }

        private String header(String name) {
            return headers.stream().filter(header -> header.toLowerCase(Locale.ROOT).startsWith(name + ":"))
                    .map(header -> header.substring(name.length() + 1).trim()).findFirst().orElse("");
        }
    }

    /** One request of a client; or, when method is empty, milliseconds that pass. */
    record Step(String method, String suffix, List<String> headers, int pauseMs) {
    }

    final String name;
    final String asked;
    final List<Answer> answers = new ArrayList<>();
    final List<Step> steps = new ArrayList<>();
    final Set<String> differences = new HashSet<>();
    final Set<String> movedDifferences = new HashSet<>();
    String location = "plain";

    CachingCase(String name, String asked) {
        this.name = name;
        this.asked = asked;
    }

    /** An answer of the origin. */
    static Answer answer(int status, String... headers) {
        return new Answer(status, Arrays.stream(headers).map(CachingCase::moments).toList(), null, Framing.LENGTH);
    }

    /** 200. */
    static Answer ok(String... headers) {
        return answer(200, headers);
    }

    CachingCase origin(Answer... inTurn) {
        answers.addAll(List.of(inTurn));
        return this;
    }

    /** Another location of the caches than `plain`; see CachingTest. */
    CachingCase in(String place) {
        location = place;
        return this;
    }

    CachingCase get(String... headers) {
        return ask("GET", "", headers);
    }

    CachingCase head(String... headers) {
        return ask("HEAD", "", headers);
    }

    /** Any method; suffix is added to the object's URI. */
    CachingCase ask(String method, String suffix, String... headers) {
        steps.add(new Step(method, suffix, Arrays.stream(headers).map(CachingCase::moments).toList(), 0));
        return this;
    }

    /** Copies of max-age=1 grow old: nginx counts in whole seconds. */
    CachingCase pause() {
        return pause(1);
    }

    /** The same for copies of so many seconds. */
    CachingCase pause(int maxAge) {
        steps.add(new Step("", "", List.of(), 1000 * (maxAge + 1) + 50));
        return this;
    }

    /** What the cache does behind the client comes to its end. */
    CachingCase settle() {
        steps.add(new Step("", "", List.of(), 500));
        return this;
    }

    /**
     * What is not the same as with stock, by design and as docs/route.md says: `transfer-encoding`, or any other header in small letters,
     * `status`, `body` or `origin`.
     */
    CachingCase differs(String... what) {
        differences.addAll(List.of(what));
        return this;
    }

    /** The same of a key that another node had when it was first asked for. */
    CachingCase differsMoved(String... what) {
        movedDifferences.addAll(List.of(what));
        return this;
    }

    /** Answers a request of this case, the number-th from 0. */
    boolean answer(int number, ScriptedOrigin.Request request, OutputStream out) throws IOException {
        Answer answer = answers.get(Math.min(number, answers.size() - 1));
        byte[] body = answer.body != null ? answer.body : ("answer " + (number + 1) + "\n").getBytes(StandardCharsets.US_ASCII);
        int status = answer.status;
        StringBuilder head = new StringBuilder();
        switch (answer.framing) {
            case NONE:
                return false;
            case SILENT:
                try {
                    Thread.sleep(60_000);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                return false;
            case GARBAGE:
                out.write("HTTP/1.1 200 OK\r\nX-\0: a\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                return false;
            default:
        }
        boolean unchanged = !answer.header("etag").isEmpty() && request.header("if-none-match").equals(answer.header("etag"))
                || !answer.header("last-modified").isEmpty()
                        && request.header("if-modified-since").equals(answer.header("last-modified"));
        Matcher range = RANGE.matcher(request.header("range"));
        if (status == 200 && unchanged) {
            status = 304;
        } else if (status == 200 && answer.header("accept-ranges").equals("bytes") && range.matches()) {
            int last = range.group(2).isEmpty() ? body.length - 1 : Math.min(body.length - 1, Integer.parseInt(range.group(2)));
            status = 206;
            head.append("Content-Range: bytes ").append(range.group(1)).append('-').append(last).append('/').append(body.length)
                    .append("\r\n");
            body = Arrays.copyOfRange(body, Integer.parseInt(range.group(1)), last + 1);
        }
        answer.headers.forEach(header -> head.append(header).append("\r\n"));
        boolean bodiless = request.method().equals("HEAD") || status == 204 || status == 304;
        if (answer.framing == Framing.CHUNKED && status != 204 && status != 304) {
            head.append("Transfer-Encoding: chunked\r\n");
        } else if (answer.framing != Framing.CLOSE && status != 204 && status != 304) {
            head.append("Content-Length: ").append(body.length).append("\r\n");
        }
        out.write(("HTTP/1.1 " + status + " As Scripted\r\n" + head + "\r\n").getBytes(StandardCharsets.ISO_8859_1));
        if (!bodiless) {
            write(answer.framing, body, out);
        }
        return answer.framing == Framing.LENGTH || answer.framing == Framing.CHUNKED;
    }

    private static void write(Framing framing, byte[] body, OutputStream out) throws IOException {
        if (framing != Framing.CHUNKED) {
            out.write(body, 0, framing == Framing.CUT ? body.length - 1 : body.length);
            return;
        }
        for (int from = 0; from < body.length; from += 1000) {
            int length = Math.min(1000, body.length - from);
            out.write((Integer.toHexString(length) + "\r\n").getBytes(StandardCharsets.US_ASCII));
            out.write(body, from, length);
            out.write("\r\n".getBytes(StandardCharsets.US_ASCII));
        }
        out.write("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    }

    private static String moments(String text) {
        long now = Instant.now().getEpochSecond();
        return MOMENT.matcher(text).replaceAll(match -> {
            long second = now + Long.parseLong(match.group(2));
            return match.group(1).isEmpty() ? DATE.format(Instant.ofEpochSecond(second)) : Long.toString(second);
        });
    }

    @Override
    public String toString() {
        return name;
    }
}
