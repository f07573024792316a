package io.atoll.tests;

import static io.atoll.tests.CachingCase.answer;
import static io.atoll.tests.CachingCase.ok;

import io.atoll.tests.CachingCase.Answer;
import io.atoll.tests.CachingCase.Framing;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** The table of caching cases: what each is about, what stock nginx asks the origin, what the origin answers, what clients ask. */
final class CachingCases {
    private static final String FRESH = "Cache-Control: max-age=60";
    private static final String BRIEF = "Cache-Control: max-age=1";
    /** Where a copy has to be found before it grows old: that may take a second on a busy machine. */
    private static final String SHORT = "Cache-Control: max-age=3";
    private static final String ETAG = "ETag: \"v1\"";
    private static final String WEAK = "ETag: W/\"v1\"";
    private static final String MODIFIED = "Last-Modified: Sun, 06 Nov 2016 08:49:37 GMT";
    private static final String SINCE = "If-Modified-Since: Sun, 06 Nov 2016 08:49:37 GMT";
    private static final String LINE = "0123456789abcdefghijklmnopqrstuvwxyz";

    private final List<CachingCase> cases = new ArrayList<>();

    private CachingCases() {
        freshness();
        directives();
        accelHeaders();
        cookiesAndAuthorization();
        vary();
        clientConditions();
        revalidation();
        ranges();
        heads();
        stale();
        statuses();
        methods();
        addresses();
        bodies();
        requestHeaders();
        settings();
    }

    static List<CachingCase> all() {
        return new CachingCases().cases;
    }

    private CachingCase when(String name, String asked) {
        CachingCase added = new CachingCase(name, asked);
        cases.add(added);
        return added;
    }

    private void freshness() {
        when("max-age", "F-").origin(ok(FRESH)).get().get();
        when("max-age=0", "FF").origin(ok("Cache-Control: max-age=0")).get().get();
        when("max-age ran out", "F-F").origin(ok(SHORT)).get().get().pause(3).get();
        when("max-age that is negative", "FF").origin(ok("Cache-Control: max-age=-1")).get().get();
        when("max-age that is no number", "FF").origin(ok("Cache-Control: max-age=soon")).get().get();
        when("max-age that is too large", "F-").origin(ok("Cache-Control: max-age=99999999999999999999")).get().get();
        when("max-age in quotes", "FF").origin(ok("Cache-Control: max-age=\"60\"")).get().get();
        when("max-age in capitals", "F-").origin(ok("Cache-Control: MAX-AGE=60")).get().get();
        when("max-age with blanks", "FF").origin(ok("Cache-Control: max-age = 60")).get().get();
        when("s-maxage", "F-").origin(ok("Cache-Control: s-maxage=60")).get().get();
        when("s-maxage before max-age", "F-").origin(ok("Cache-Control: s-maxage=60, max-age=0")).get().get();
        when("s-maxage behind max-age", "F-").origin(ok("Cache-Control: max-age=0, s-maxage=60")).get().get();
        when("s-maxage=0 with max-age", "FF").origin(ok("Cache-Control: max-age=60, s-maxage=0")).get().get();
        when("two lines of Cache-Control", "F-").origin(ok("Cache-Control: public", FRESH)).get().get();
        when("Expires to come", "F-").origin(ok("Expires: {+60}")).get().get();
        when("Expires in the past", "FF").origin(ok("Expires: {-60}")).get().get();
        when("Expires: 0", "FF").origin(ok("Expires: 0")).get().get();
        when("Expires that is no date", "FF").origin(ok("Expires: tomorrow")).get().get();
        when("Expires in the past, then max-age", "FF").origin(ok("Expires: {-60}", FRESH)).get().get();
        when("max-age, then Expires in the past", "F-").origin(ok(FRESH, "Expires: {-60}")).get().get();
        when("Expires to come, then max-age=0", "FF").origin(ok("Expires: {+60}", "Cache-Control: max-age=0")).get().get();
        when("max-age with Age", "F-").origin(ok(FRESH, "Age: 50")).get().get();
        when("max-age with an Age above it", "F-").origin(ok(FRESH, "Age: 5000")).get().get();
        when("max-age with Date of yesterday", "F-").origin(ok(FRESH, "Date: {-86400}")).get().get();
        when("Expires before Date", "F-").origin(ok("Date: {+3600}", "Expires: {+60}")).get().get();
        when("no word on freshness", "FF").origin(ok()).get().get();
        when("no word on freshness, with validators", "FF").origin(ok(ETAG, MODIFIED)).get().get();
        when("proxy_cache_valid", "F-").in("valid").origin(ok()).get().get();
        when("proxy_cache_valid yields to max-age=0", "FF").in("valid").origin(ok("Cache-Control: max-age=0")).get().get();
    }

    private void directives() {
        for (String never : List.of("no-store", "private", "no-cache", "no-cache=\"Set-Cookie\"", "private=\"X-Own\"", "no-store, max-age=60",
                "max-age=60, no-cache", "public, private, max-age=60", "NO-STORE")) {
            when("Cache-Control: " + never, "FF").in("valid").origin(ok("Cache-Control: " + never)).get().get();
        }
        for (String with : List.of("public", "must-revalidate", "proxy-revalidate", "immutable", "no-transform", "community=\"UCI\"")) {
            when("Cache-Control: " + with + ", max-age=60", "F-").origin(ok("Cache-Control: " + with + ", max-age=60")).get().get();
        }
        when("must-revalidate that ran out", "FF").origin(ok("Cache-Control: must-revalidate, max-age=1")).get().pause().get();
        when("Pragma: no-cache with max-age", "F-").origin(ok(FRESH, "Pragma: no-cache")).get().get();
        when("Surrogate-Control and CDN-Cache-Control say nothing", "FF")
                .origin(ok("Surrogate-Control: max-age=60", "CDN-Cache-Control: max-age=60")).get().get();
        when("no-store, then max-age, then a copy", "FF-").origin(ok("Cache-Control: no-store"), ok(FRESH)).get().get().get();
    }

    private void accelHeaders() {
        when("X-Accel-Expires: 60", "F-").origin(ok("X-Accel-Expires: 60")).get().get();
        when("X-Accel-Expires: 0", "FF").in("valid").origin(ok("X-Accel-Expires: 0")).get().get();
        when("X-Accel-Expires: @moment", "F-").origin(ok("X-Accel-Expires: @{@+60}")).get().get();
        when("X-Accel-Expires: @moment gone by", "FF").origin(ok("X-Accel-Expires: @{@-60}")).get().get();
        when("X-Accel-Expires over max-age=0", "F-").origin(ok("X-Accel-Expires: 60", "Cache-Control: max-age=0")).get().get();
        when("X-Accel-Expires behind no-store", "FF").origin(ok("Cache-Control: no-store", "X-Accel-Expires: 60")).get().get();
        when("X-Accel-Expires that ran out", "FF").origin(ok("X-Accel-Expires: 1")).get().pause().get();
        when("X-Accel-Buffering: no", "FF").origin(ok(FRESH, "X-Accel-Buffering: no")).get().get();
        when("X-Accel-Charset", "F-").origin(ok(FRESH, "X-Accel-Charset: utf-8", "Content-Type: text/plain")).get().get();
        when("X-Accel-Limit-Rate", "F-").origin(ok(FRESH, "X-Accel-Limit-Rate: 100000")).get().get();
        when("X-Accel-Redirect", "FF").origin(ok(FRESH, "X-Accel-Redirect: /internal")).get().get();
    }

    private void cookiesAndAuthorization() {
        when("Set-Cookie", "FF").origin(ok(FRESH, "Set-Cookie: a=1")).get().get();
        when("Set-Cookie by each node", "F-").in("cookie").origin(ok(FRESH)).get().get().differs("set-cookie");
        when("Set-Cookie, ignored", "F-").in("ignore").origin(ok("Set-Cookie: a=1")).get().get();
        when("Set-Cookie in the second answer only", "FF-").origin(ok(FRESH, "Set-Cookie: a=1"), ok(FRESH)).get().get().get();
        when("cookies of clients", "F-").origin(ok(FRESH)).get("Cookie: a=1").get("Cookie: a=2");
        when("Authorization", "F-").origin(ok(FRESH)).get("Authorization: Basic YTpi").get();
        when("Authorization with public", "F-").origin(ok("Cache-Control: public, max-age=60")).get("Authorization: Basic YTpi").get();
        when("another Authorization", "F-").origin(ok(FRESH)).get("Authorization: Basic YTpi").get("Authorization: Basic YTpj");
        when("WWW-Authenticate", "FF").origin(answer(401, "WWW-Authenticate: Basic realm=\"r\"")).get().get("Authorization: Basic YTpi");
    }

    private void vary() {
        when("Vary: the same value", "F-").origin(ok(FRESH, "Vary: Accept-Language")).get("Accept-Language: de")
                .get("Accept-Language: de");
        when("Vary: two values in turn", "FF--").origin(ok(FRESH, "Vary: Accept-Language")).get("Accept-Language: de")
                .get("Accept-Language: en").get("Accept-Language: de").get("Accept-Language: en");
        when("Vary: many values", "FFFF----").origin(ok(FRESH, "Vary: X-V")).get("X-V: 1").get("X-V: 2").get("X-V: 3").get("X-V: 4")
                .get("X-V: 1").get("X-V: 2").get("X-V: 3").get("X-V: 4");
        when("Vary: without the header, then with it", "FF-").origin(ok(FRESH, "Vary: X-V")).get().get("X-V: 1").get();
        when("Vary: an empty header", "F-").origin(ok(FRESH, "Vary: X-V")).get().get("X-V:");
        when("Vary: two names", "FFF---").origin(ok(FRESH, "Vary: X-V, X-W")).get("X-V: 1", "X-W: 1").get("X-V: 1", "X-W: 2")
                .get("X-V: 2", "X-W: 1").get("X-V: 1", "X-W: 1").get("X-V: 1", "X-W: 2").get("X-V: 2", "X-W: 1");
        when("Vary: names in capitals", "F-F").origin(ok(FRESH, "Vary: X-VALUE")).get("x-value: 1").get("X-Value: 1").get("X-Value: 2");
        when("Vary: *", "FF").origin(ok(FRESH, "Vary: *")).get().get();
        when("Vary: * among names", "F-").origin(ok(FRESH, "Vary: X-V, *")).get("X-V: 1").get("X-V: 1");
        when("Vary: Accept-Encoding", "FFF--").origin(ok(FRESH, "Vary: Accept-Encoding")).get("Accept-Encoding: gzip")
                .get("Accept-Encoding: br").get().get("Accept-Encoding: gzip").get("Accept-Encoding: br");
        when("Vary: values that differ in blanks", "F-").origin(ok(FRESH, "Vary: Accept-Language")).get("Accept-Language: de, en")
                .get("Accept-Language: de,en");
        when("Vary: two lines", "FF-").origin(ok(FRESH, "Vary: X-V", "Vary: X-W")).get("X-V: 1", "X-W: 1").get("X-V: 1", "X-W: 2")
                .get("X-V: 1", "X-W: 2");
        when("Vary that comes later", "FFF-").origin(ok(BRIEF), ok(FRESH, "Vary: X-V")).get("X-V: 1").pause().get("X-V: 1").get("X-V: 2")
                .get("X-V: 2");
        when("Vary: Cookie", "FF-").origin(ok(FRESH, "Vary: Cookie")).get("Cookie: a=1").get("Cookie: a=2").get("Cookie: a=2");
        when("Vary: Origin", "FF-").origin(ok(FRESH, "Vary: Origin", "Access-Control-Allow-Origin: *")).get("Origin: http://a")
                .get("Origin: http://b").get("Origin: http://a");
        when("Vary, ignored", "F-").in("ignore").origin(ok("Vary: X-V")).get("X-V: 1").get("X-V: 2");
        when("Vary: one value grows old", "FFF-").origin(ok(BRIEF, "Vary: X-V"), ok(FRESH, "Vary: X-V")).get("X-V: 1").get("X-V: 2")
                .pause().get("X-V: 1").get("X-V: 2");
    }

    private void clientConditions() {
        when("If-None-Match that matches a copy", "F-").origin(ok(FRESH, ETAG)).get().get("If-None-Match: \"v1\"");
        when("If-None-Match of another version", "F-").origin(ok(FRESH, ETAG)).get().get("If-None-Match: \"v0\"");
        when("If-None-Match: *", "F-").origin(ok(FRESH, ETAG)).get().get("If-None-Match: *");
        when("If-None-Match with a list", "F-").origin(ok(FRESH, ETAG)).get().get("If-None-Match: \"v0\", \"v1\"");
        when("If-None-Match weak, of a strong copy", "F-").origin(ok(FRESH, ETAG)).get().get("If-None-Match: W/\"v1\"");
        when("If-None-Match strong, of a weak copy", "F-").origin(ok(FRESH, WEAK)).get().get("If-None-Match: \"v1\"");
        when("If-None-Match without an ETag", "F-").origin(ok(FRESH)).get().get("If-None-Match: \"v1\"");
        when("If-None-Match on a miss is not passed on", "F-").origin(ok(FRESH, ETAG)).get("If-None-Match: \"v1\"").get();
        when("If-None-Match on a miss, another version", "F-").origin(ok(FRESH, ETAG)).get("If-None-Match: \"v0\"").get();
        when("If-None-Match of what is not stored", "FF").origin(ok(ETAG)).get("If-None-Match: \"v1\"").get("If-None-Match: \"v0\"");
        when("If-Modified-Since, equal", "F-").origin(ok(FRESH, MODIFIED)).get().get(SINCE);
        when("If-Modified-Since, older", "F-").origin(ok(FRESH, MODIFIED)).get().get("If-Modified-Since: Sat, 05 Nov 2016 08:49:37 GMT");
        when("If-Modified-Since, newer", "F-").origin(ok(FRESH, MODIFIED)).get().get("If-Modified-Since: {-60}");
        when("If-Modified-Since that is no date", "F-").origin(ok(FRESH, MODIFIED)).get().get("If-Modified-Since: yesterday");
        when("If-Modified-Since on a miss", "F-").origin(ok(FRESH, MODIFIED)).get(SINCE).get();
        when("If-None-Match over If-Modified-Since", "F-").origin(ok(FRESH, ETAG, MODIFIED)).get().get("If-None-Match: \"v0\"", SINCE);
        when("If-Match that fails", "F-").origin(ok(FRESH, ETAG)).get().get("If-Match: \"v0\"");
        when("If-Match that holds", "F-").origin(ok(FRESH, ETAG)).get().get("If-Match: \"v1\"");
        when("If-Match on a miss", "FF").origin(ok(FRESH, ETAG)).get("If-Match: \"v0\"").get();
        when("If-Unmodified-Since that fails", "F-").origin(ok(FRESH, MODIFIED)).get()
                .get("If-Unmodified-Since: Sat, 05 Nov 2016 08:49:37 GMT");
        when("If-Unmodified-Since that holds", "F-").origin(ok(FRESH, MODIFIED)).get().get("If-Unmodified-Since: {-60}");
        when("HEAD with If-None-Match", "F-").origin(ok(FRESH, ETAG)).get().head("If-None-Match: \"v1\"");
        when("a condition on a 404", "F-").origin(answer(404, FRESH, ETAG)).get().get("If-None-Match: \"v1\"");
    }

    private void revalidation() {
        when("an ETag revalidates", "FR-").in("revalidate").origin(ok(BRIEF, ETAG), ok(FRESH, ETAG)).get().pause().get().get();
        when("Last-Modified revalidates", "FR-").in("revalidate").origin(ok(BRIEF, MODIFIED), ok(FRESH, MODIFIED)).get().pause().get().get();
        when("both revalidate", "FR-").in("revalidate").origin(ok(BRIEF, ETAG, MODIFIED), ok(FRESH, ETAG, MODIFIED)).get().pause().get().get();
        when("a weak ETag revalidates", "FR-").in("revalidate").origin(ok(BRIEF, WEAK), ok(FRESH, WEAK)).get().pause().get().get();
        when("nothing to revalidate by", "FF").in("revalidate").origin(ok(BRIEF)).get().pause().get();
        when("no revalidation unless set", "FF").origin(ok(BRIEF, ETAG)).get().pause().get();
        when("revalidation brings another version", "FR-").in("revalidate").origin(ok(BRIEF, ETAG), ok(FRESH, "ETag: \"v2\"")).get().pause()
                .get().get();
        when("304 with other headers", "FR-").in("revalidate").origin(ok(BRIEF, ETAG, "X-Own: 1"), ok(FRESH, ETAG, "X-Own: 2")).get().pause()
                .get().get();
        when("304 that is short again", "FR-R").in("revalidate").origin(ok(SHORT, ETAG)).get().pause(3).get().get().pause(3).get();
        when("revalidation finds 404", "FR").in("revalidate").origin(ok(BRIEF, ETAG), answer(404)).get().pause().get();
        when("revalidation finds 500", "FR").in("revalidate").origin(ok(BRIEF, ETAG), answer(500)).get().pause().get();
        when("revalidation finds no-store", "FRR").in("revalidate").origin(ok(BRIEF, ETAG), ok("ETag: \"v2\"", "Cache-Control: no-store")).get()
                .pause().get().get();
        when("a client's condition while revalidating", "FR-").in("revalidate").origin(ok(BRIEF, ETAG), ok(FRESH, ETAG)).get().pause()
                .get("If-None-Match: \"v1\"").get();
        when("a client's other condition while revalidating", "FR-").in("revalidate").origin(ok(BRIEF, ETAG), ok(FRESH, ETAG)).get().pause()
                .get("If-None-Match: \"v0\"").get();
        when("a range while revalidating", "FR-").in("revalidate").origin(ok(BRIEF, ETAG).body(LINE), ok(FRESH, ETAG).body(LINE)).get()
                .pause().get("Range: bytes=1-3").get();
        when("HEAD revalidates", "FR-").in("revalidate").origin(ok(BRIEF, ETAG), ok(FRESH, ETAG)).get().pause().head().get();
        when("304 to an unconditional request", "F-").in("any").origin(answer(304, ETAG)).get().get();
    }

    private void ranges() {
        Answer line = ok(FRESH, ETAG, MODIFIED).body(LINE);
        for (String range : List.of("0-0", "1-3", "5-", "-4", "0-999", "35-35", "36-", "40-50", "-0", "3-1", "a-b", "0-0,5-6", "0-,0-,0-", "")) {
            when("a range of a copy: " + range, "F-").origin(line).get().get("Range: bytes=" + range);
        }
        when("a range on a miss", "F-").origin(line).get("Range: bytes=1-3").get();
        when("a range on a miss, beyond the end", "F-").origin(line).get("Range: bytes=99-").get();
        when("two ranges on a miss", "F-").origin(line).get("Range: bytes=0-0,5-6").get();
        when("a range in other units", "F-").origin(line).get().get("Range: lines=1-3");
        when("If-Range with the ETag", "F-").origin(line).get().get("Range: bytes=1-3", "If-Range: \"v1\"");
        when("If-Range with another ETag", "F-").origin(line).get().get("Range: bytes=1-3", "If-Range: \"v0\"");
        when("If-Range with a weak ETag", "F-").origin(ok(FRESH, WEAK).body(LINE)).get().get("Range: bytes=1-3", "If-Range: W/\"v1\"");
        when("If-Range with the date", "F-").origin(line).get().get("Range: bytes=1-3", "If-Range: Sun, 06 Nov 2016 08:49:37 GMT");
        when("If-Range with another date", "F-").origin(line).get().get("Range: bytes=1-3", "If-Range: Sat, 05 Nov 2016 08:49:37 GMT");
        when("HEAD with a range", "F-").origin(line).get().head("Range: bytes=1-3");
        when("a range of what is not stored", "FF").origin(ok(ETAG).body(LINE)).get("Range: bytes=1-3").get("Range: bytes=1-3");
        when("a range, from an origin that has ranges", "F-").origin(ok(FRESH, ETAG, "Accept-Ranges: bytes").body(LINE))
                .get("Range: bytes=1-3").get("Range: bytes=4-");
        when("a range of what is not stored, from an origin that has ranges", "FF").origin(ok(ETAG, "Accept-Ranges: bytes").body(LINE))
                .get("Range: bytes=1-3").get();
        when("206 that nobody asked for", "F-").origin(answer(206, FRESH, "Content-Range: bytes 0-35/100").body(LINE)).get().get();
        when("proxy_force_ranges", "F-").in("force").origin(line).get("Range: bytes=1-3").get("Range: bytes=4-5");
        when("a range of an empty copy", "F-").origin(ok(FRESH).body("")).get().get("Range: bytes=0-1");
        when("a range of a chunked answer", "F-").origin(ok(FRESH).body(LINE).sent(Framing.CHUNKED)).get("Range: bytes=1-3")
                .get("Range: bytes=1-3");
    }

    private void heads() {
        when("HEAD, then GET", "F-").origin(ok(FRESH)).head().get();
        when("GET, then HEAD", "F-").origin(ok(FRESH)).get().head();
        when("HEAD of what is not stored", "FF").origin(ok()).head().head();
        when("HEAD of a 404", "F-").origin(answer(404, FRESH)).head().get();
        when("HEAD of a chunked answer", "F-").origin(ok(FRESH).sent(Framing.CHUNKED)).head().head();
        // the header is answered before the body is stored
        when("HEAD of a large body, then GET", "F-").origin(ok(FRESH).body(bytes(300_000))).head().settle().get();
    }

    private void stale() {
        for (int status : List.of(500, 502, 503, 504)) {
            when("stale instead of " + status, "FF").in("stale").origin(ok(BRIEF), answer(status)).get().pause().get();
        }
        when("no stale copy instead of 404", "FF").in("stale").origin(ok(BRIEF), answer(404)).get().pause().get();
        when("no stale copy unless set", "FF").origin(ok(BRIEF), answer(500)).get().pause().get();
        when("500 without a copy", "FF").in("stale").origin(answer(500)).get().get();
        when("stale instead of a time-out", "FF").in("stale").origin(ok(BRIEF), ok().sent(Framing.SILENT)).get().pause().get();
        when("stale instead of a closed connection", "FF").in("stale").origin(ok(BRIEF), ok().sent(Framing.NONE)).get().pause().get();
        when("stale instead of an answer that is no HTTP", "FF").in("stale").origin(ok(BRIEF), ok().sent(Framing.GARBAGE)).get().pause().get();
        when("stale-if-error", "FF").origin(ok("Cache-Control: max-age=1, stale-if-error=60"), answer(500)).get().pause().get();
        when("stale-if-error that ran out", "FF").origin(ok("Cache-Control: max-age=1, stale-if-error=0"), answer(500)).get().pause().get();
        when("stale-if-error, and the origin is well again", "FFF-").origin(ok("Cache-Control: max-age=1, stale-if-error=60"), answer(500),
                ok(FRESH)).get().pause().get().get().get();
        when("stale-if-error and a time-out", "FF").origin(ok("Cache-Control: max-age=1, stale-if-error=60"), ok().sent(Framing.SILENT)).get()
                .pause().get();
        when("stale-while-revalidate, updated behind the client", "FF-").in("background").origin(
                ok("Cache-Control: max-age=1, stale-while-revalidate=60"), ok(FRESH)).get().pause().get().settle().get();
        when("stale-while-revalidate, revalidated behind the client", "FR-").in("background").origin(
                ok("Cache-Control: max-age=1, stale-while-revalidate=60", ETAG), ok(FRESH, ETAG)).get().pause().get().settle().get();
        when("updating behind the client", "FF-").in("background").origin(ok(BRIEF), ok(FRESH)).get().pause().get().settle().get();
        when("must-revalidate, stale", "FF").in("stale").origin(ok("Cache-Control: must-revalidate, max-age=1"), answer(500)).get().pause().get();
        when("stale, asked for by HEAD", "FF").in("stale").origin(ok(BRIEF), answer(503)).get().pause().head();
        when("stale, a range of it", "FF").in("stale").origin(ok(BRIEF, ETAG).body(LINE), answer(503)).get().pause().get("Range: bytes=1-3");
        when("stale, a condition on it", "FF").in("stale").origin(ok(BRIEF, ETAG), answer(503)).get().pause().get("If-None-Match: \"v1\"");
    }

    private void statuses() {
        for (int status : List.of(200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 416, 418, 429, 451, 500, 501)) {
            when("status " + status + " with max-age", "F-").origin(answer(status, FRESH)).get().get();
        }
        for (int status : List.of(502, 503, 504)) {
            when("status " + status + " with max-age", "F-").origin(answer(status, FRESH)).get().get();
            when("status " + status + ", not stored", "FF").origin(answer(status)).get().get();
        }
        for (int status : List.of(201, 204, 404, 410, 500, 503)) {
            when("status " + status + " with proxy_cache_valid any", "F-").in("any").origin(answer(status)).get().get();
        }
        when("a redirect to itself", "F-").origin(answer(301, FRESH, "Location: /elsewhere")).get().get();
        when("a redirect to another host", "F-").origin(answer(302, FRESH, "Location: http://elsewhere/there?a=b")).get().get();
        when("status 404 with proxy_cache_valid for it", "F-").in("valid").origin(answer(404)).get().get();
        when("status 410 without proxy_cache_valid for it", "FF").in("valid").origin(answer(410)).get().get();
    }

    private void methods() {
        for (String method : List.of("POST", "PUT", "DELETE", "PATCH", "OPTIONS")) {
            when(method + " between GETs", "FF-").origin(ok(FRESH, ETAG)).get().ask(method, "", "Content-Length: 0").get();
        }
        when("POST is not stored", "FF").origin(ok(FRESH)).ask("POST", "", "Content-Length: 0").ask("POST", "", "Content-Length: 0");
        when("POST does not answer a GET", "FF-").origin(ok(FRESH)).ask("POST", "", "Content-Length: 0").get().get();
        when("POST that is stored by proxy_cache_methods", "F-").in("methods").origin(ok(FRESH)).ask("POST", "", "Content-Length: 0")
                .ask("POST", "", "Content-Length: 0").differs("body", "origin").differsMoved("body", "origin");
        when("POST that fails", "FF").origin(answer(500)).ask("POST", "", "Content-Length: 0").ask("POST", "", "Content-Length: 0");
        when("POST answered by 503", "FF").origin(answer(503)).ask("POST", "", "Content-Length: 0").ask("POST", "", "Content-Length: 0");
        when("a GET answered by a closed connection", "FF").origin(ok().sent(Framing.NONE)).get().get();
        when("a GET that is not answered in time", "F").origin(ok().sent(Framing.SILENT)).get();
        when("a POST answered by a closed connection", "FF").origin(ok().sent(Framing.NONE)).ask("POST", "", "Content-Length: 0")
                .ask("POST", "", "Content-Length: 0");
    }

    private void addresses() {
        when("query strings", "FFF-").origin(ok(FRESH)).get().ask("GET", "?a=1").ask("GET", "?a=2").ask("GET", "?a=1");
        when("the order of a query", "FF").origin(ok(FRESH)).ask("GET", "?a=1&b=2").ask("GET", "?b=2&a=1");
        when("an empty query", "F-").origin(ok(FRESH)).ask("GET", "?").get();
        when("capitals in a path", "FF--").origin(ok(FRESH)).ask("GET", "/Path").ask("GET", "/path").ask("GET", "/Path").ask("GET", "/path");
        when("escapes of plain letters", "F-").origin(ok(FRESH)).ask("GET", "/%41").ask("GET", "/A");
        when("an escaped slash", "F-").origin(ok(FRESH)).ask("GET", "/a%2Fb").ask("GET", "/a/b");
        when("an escaped question mark", "FF").origin(ok(FRESH)).ask("GET", "/a%3Fb").ask("GET", "/a?b=");
        when("escapes in a query", "FF").origin(ok(FRESH)).ask("GET", "?a=%41").ask("GET", "?a=A");
        when("dot segments", "F-").origin(ok(FRESH)).ask("GET", "/a/../b").ask("GET", "/b");
        when("doubled slashes", "F-").origin(ok(FRESH)).ask("GET", "/a//b").ask("GET", "/a/b");
        when("a path in UTF-8", "F-").origin(ok(FRESH)).ask("GET", "/%C3%A4").ask("GET", "/%c3%a4");
        when("a plus sign and a blank", "FF").origin(ok(FRESH)).ask("GET", "/a+b").ask("GET", "/a%20b");
        when("a long address", "F-").origin(ok(FRESH)).ask("GET", "/" + "x".repeat(1500)).ask("GET", "/" + "x".repeat(1500));
        when("a slash at the end", "FF").origin(ok(FRESH)).ask("GET", "/a").ask("GET", "/a/");
    }

    private void bodies() {
        when("an empty body", "F-").origin(ok(FRESH).body("")).get().get();
        when("a body of one byte", "F-").origin(ok(FRESH).body("x")).get().get();
        when("a large body", "F-").origin(ok(FRESH).body(bytes(1_500_000))).get().get();
        when("a large body that is not stored", "FF").origin(ok().body(bytes(1_500_000))).get().get();
        when("all bytes", "F-").origin(ok(FRESH).body(bytes(5000))).get().get();
        when("a chunked body", "F-").origin(ok(FRESH).body(bytes(5000)).sent(Framing.CHUNKED)).get().get();
        when("a chunked body that is not stored", "FF").origin(ok().body(bytes(5000)).sent(Framing.CHUNKED)).get().get();
        when("an empty chunked body", "F-").origin(ok(FRESH).body("").sent(Framing.CHUNKED)).get().get();
        when("a body to the end of the connection", "F-").origin(ok(FRESH).body(bytes(5000)).sent(Framing.CLOSE)).get().get();
        when("a body in gzip", "F-").origin(ok(FRESH, "Content-Encoding: gzip").body(bytes(500))).get("Accept-Encoding: gzip").get();
        when("gzip by the cache", "F--").in("gzip").origin(ok(FRESH, "Content-Type: text/plain").body(LINE.repeat(50))).get().get()
                .get("Accept-Encoding: identity");
        when("Content-Type with a charset", "F-").origin(ok(FRESH, "Content-Type: text/html; charset=utf-8")).get().get();
    }

    private void requestHeaders() {
        when("a client's Cache-Control: no-cache", "F-").origin(ok(FRESH)).get().get("Cache-Control: no-cache");
        when("a client's max-age=0", "F-").origin(ok(FRESH)).get().get("Cache-Control: max-age=0");
        when("a client's no-store", "F-").origin(ok(FRESH)).get("Cache-Control: no-store").get();
        when("a client's only-if-cached", "F").origin(ok(FRESH)).get("Cache-Control: only-if-cached");
        when("a client's Pragma: no-cache", "F-").origin(ok(FRESH)).get().get("Pragma: no-cache");
        when("headers that pass", "F-").origin(ok(FRESH, "X-Own: a", "Link: </x>; rel=next", "Via: 1.1 there", "Warning: 110 - old",
                "Content-Language: de", "Content-Disposition: attachment", "Content-Location: /there", "Retry-After: 3", "Refresh: 5"))
                .get("X-Mine: b", "User-Agent: test", "Referer: http://there/", "Accept: */*", "Via: 1.0 before", "X-Forwarded-For: 1.2.3.4")
                .get();
        when("headers that nginx hides", "F-").origin(ok(FRESH, "Server: own", "X-Pad: x", "Status: 200 own")).get().get();
        when("Connection and what it names", "F-").origin(ok(FRESH, "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5")).get().get();
        when("TE and Upgrade of a client", "F-").origin(ok(FRESH)).get("TE: trailers", "Upgrade: h2c").get();
        when("a large header", "F-").origin(ok(FRESH, "X-Large: " + "y".repeat(2000))).get("X-Mine: " + "z".repeat(2000)).get();
    }

    private void settings() {
        // each cache counts for itself
        when("proxy_cache_min_uses 2", "FF-").in("twice").origin(ok(FRESH)).get().get().get().differsMoved("body", "origin");
        when("proxy_buffering off", "FF").in("unbuffered").origin(ok(FRESH)).get().get();
        when("proxy_ignore_headers", "F-").in("ignore").origin(ok("Cache-Control: no-store", "Expires: 0")).get().get();
        when("slices", "5----").in("slices").origin(ok(FRESH, ETAG, "Accept-Ranges: bytes").body(bytes(4500))).get().get()
                .get("Range: bytes=100-200").get("Range: bytes=1000-1100").head();
        when("slices, from the middle", "F2-").in("slices").origin(ok(FRESH, ETAG, "Accept-Ranges: bytes").body(bytes(3000)))
                .get("Range: bytes=1500-1600").get().get();
        Answer sliced = ok(FRESH, ETAG, MODIFIED, "Accept-Ranges: bytes").body(bytes(3000));
        when("slices, a condition of the client's", "3---").in("slices").origin(sliced).get().get("If-None-Match: \"v1\"")
                .get("If-None-Match: \"v0\"").get("If-Match: \"v0\"");
        when("slices, a range on a condition", "3-").in("slices").origin(sliced).get().get("Range: bytes=1500-1600", "If-Range: \"v1\"");
        when("slices, a range on a condition that fails", "3-").in("slices").origin(sliced).get().get("If-Range: \"v0\"");
        when("slices, a condition on a miss", "F2").in("slices").origin(sliced).get("If-None-Match: \"v1\"").get();
        when("slices, several ranges", "3-").in("slices").origin(sliced).get().get("Range: bytes=10-20,1500-1600");
    }

    /** Random bytes, the same each time. */
    private static byte[] bytes(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }
}
