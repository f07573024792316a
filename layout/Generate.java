import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;

/**
 * Reads zone.layout and writes what Java and C compile against: the Java constants, the C header with an
 * assert per offset and size, and the reference page.
 *
 * <pre>
 *   java layout/Generate.java [--check] [LAYOUT [ROOT]]
 * </pre>
 *
 * {@code --check} writes nothing: it compares and exits 1, naming each output that differs. LAYOUT defaults to
 * {@code layout/zone.layout}, ROOT (the repository) to the current folder. Exit 2 for a layout file that is
 * wrong, with its line.
 */
public final class Generate {
    static final String JAVA = "java-core/src/main/java/io/atoll/core/zone/ZoneLayout.java";
    static final String HEADER = "nginx-module/reader/atoll_layout.h";
    static final String PAGE = "docs/reference/zone-layout.md";
    static final int LINE = 64;

    record Const(String name, String value, String text) {}

    record Value(String name, int number, String text) {}

    record Enumeration(String name, String text, List<Value> values) {}

    record Field(String type, int width, int count, boolean atomic, String name, int offset, String text) {
        int size() {
            return width * count;
        }

        boolean isReserved() {
            return text == null;
        }
    }

    record Rec(String name, int size, String text, List<Field> fields) {}

    String name;
    int[] version;
    final List<Const> consts = new ArrayList<>();
    final List<Enumeration> enums = new ArrayList<>();
    final List<Rec> records = new ArrayList<>();

    public static void main(String[] args) throws IOException {
        List<String> rest = new ArrayList<>(List.of(args));
        boolean check = rest.remove("--check");
        Path layout = Path.of(rest.isEmpty() ? "layout/zone.layout" : rest.get(0));
        Path root = Path.of(rest.size() < 2 ? "." : rest.get(1));
        Generate g = new Generate();
        try {
            g.parse(Files.readAllLines(layout));
        } catch (IllegalArgumentException e) {
            System.err.println(layout + ":" + e.getMessage());
            System.exit(2);
        }
        Map<String, String> outputs = new LinkedHashMap<>();
        outputs.put(JAVA, g.java());
        outputs.put(HEADER, g.header());
        outputs.put(PAGE, g.page());
        int differ = 0;
        for (Map.Entry<String, String> out : outputs.entrySet()) {
            Path path = root.resolve(out.getKey());
            if (check) {
                if (!Files.exists(path) || !Files.readString(path).equals(out.getValue())) {
                    System.err.println(path + ": differs from " + layout + "; run ./atoll layout and commit the result");
                    differ = 1;
                }
            } else {
                Files.createDirectories(path.getParent());
                Files.writeString(path, out.getValue());
            }
        }
        System.exit(differ);
    }

    // ---- parsing

    private static final Pattern DECLARATION =
            Pattern.compile("(const|enum|record|value)\\s+(\\w+)(?:\\s+(\\w+))?\\s+\"(.*)\"");
    private static final Pattern FIELD =
            Pattern.compile("(atomic\\s+)?u(8|16|32|64)(?:\\[(\\d+)\\])?\\s+(\\w+)\\s+\"(.*)\"");

    void parse(List<String> lines) {
        Rec open = null;
        int at = 0;
        int number = 0;
        for (String raw : lines) {
            number++;
            String line = raw.strip();
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            Matcher d = DECLARATION.matcher(line);
            Matcher f = FIELD.matcher(line);
            if (line.startsWith("layout ")) {
                parseName(line, number);
            } else if (d.matches() && !d.group(1).equals("value")) {
                close(open, at, number);
                open = declare(d, number);
                at = 0;
            } else if (d.matches()) {
                if (enums.isEmpty()) {
                    fail(number, "`value` outside an enum");
                }
                enums.get(enums.size() - 1).values.add(new Value(d.group(2), Integer.parseInt(d.group(3)), d.group(4)));
            } else if (open == null) {
                fail(number, "expected layout, const, enum or record, found: " + line);
            } else if (f.matches()) {
                at = add(open, f, at, number);
            } else if (line.equals("line")) {
                if (at % LINE != 0) {
                    fail(number, "a cache line starts at a multiple of 64, here is " + at + "; reserve " + (LINE - at % LINE)
                            + " before `line`");
                }
            } else if (line.matches("reserve \\d+")) {
                int n = Integer.parseInt(line.substring(8));
                open.fields.add(new Field("u8", 1, n, false, "reserved_" + at, at, null));
                at += n;
            } else {
                fail(number, "expected a field, `line` or `reserve N`, found: " + line);
            }
        }
        close(open, at, number);
        if (name == null) {
            fail(1, "no `layout NAME MAJOR.MINOR.PATCH`");
        }
    }

    private void parseName(String line, int number) {
        Matcher m = Pattern.compile("layout\\s+(\\S+)\\s+(\\d+)\\.(\\d+)\\.(\\d+)").matcher(line);
        if (!m.matches()) {
            fail(number, "expected `layout NAME MAJOR.MINOR.PATCH`, found: " + line);
        }
        name = m.group(1);
        version = new int[] {Integer.parseInt(m.group(2)), Integer.parseInt(m.group(3)), Integer.parseInt(m.group(4))};
    }

    private Rec declare(Matcher d, int number) {
        switch (d.group(1)) {
            case "const" -> consts.add(new Const(d.group(2), d.group(3), d.group(4)));
            case "enum" -> enums.add(new Enumeration(d.group(2), d.group(4), new ArrayList<>()));
            default -> {
                if (d.group(3) == null) {
                    fail(number, "expected `record NAME SIZE \"text\"`");
                }
                records.add(new Rec(d.group(2), Integer.parseInt(d.group(3)), d.group(4), new ArrayList<>()));
                return records.get(records.size() - 1);
            }
        }
        return null;
    }

    private static int add(Rec rec, Matcher f, int at, int number) {
        int width = Integer.parseInt(f.group(2)) / 8;
        int count = f.group(3) == null ? 1 : Integer.parseInt(f.group(3));
        if (at % width != 0) {
            fail(number, rec.name + "." + f.group(4) + " would lie at " + at + ", not a multiple of " + width);
        }
        boolean array = f.group(3) != null;
        rec.fields.add(new Field("u" + f.group(2), width, array ? count : 1, f.group(1) != null, f.group(4), at, f.group(5)));
        return at + width * count;
    }

    private static void close(Rec rec, int at, int number) {
        if (rec != null && rec.size != at) {
            fail(number, "record " + rec.name + " says " + rec.size + " bytes, its fields take " + at);
        }
    }

    private static void fail(int line, String message) {
        throw new IllegalArgumentException(line + ": " + message);
    }

    // ---- outputs

    int packedVersion() {
        return version[0] << 16 | version[1] << 8 | version[2];
    }

    /** CRC-32 over everything that decides where a byte lies or what it means; texts do not count. */
    int fingerprint() {
        StringBuilder s = new StringBuilder(name);
        consts.forEach(c -> s.append('|').append(c.name).append('=').append(Long.parseUnsignedLong(number(c.value), radix(c.value))));
        enums.forEach(e -> e.values.forEach(v -> s.append('|').append(e.name).append('.').append(v.name).append('=').append(v.number)));
        records.forEach(r -> {
            s.append('|').append(r.name).append(r.size);
            r.fields.forEach(f -> s.append(',').append(f.type).append(f.count).append(f.atomic).append(f.name).append(f.offset));
        });
        CRC32 crc = new CRC32();
        crc.update(s.toString().getBytes(StandardCharsets.UTF_8));
        return (int) crc.getValue();
    }

    private static String number(String v) {
        return v.startsWith("0x") ? v.substring(2) : v;
    }

    private static int radix(String v) {
        return v.startsWith("0x") ? 16 : 10;
    }

    private static String camel(String snake) {
        StringBuilder s = new StringBuilder();
        for (String part : snake.split("_")) {
            s.append(part.substring(0, 1).toUpperCase(Locale.ROOT)).append(part.substring(1));
        }
        return s.toString();
    }

    private static String upper(String s) {
        return s.toUpperCase(Locale.ROOT);
    }

    private String hex(int v) {
        return String.format("0x%08x", v);
    }

    private String dotted() {
        return version[0] + "." + version[1] + "." + version[2];
    }

    String java() {
        StringBuilder s = new StringBuilder();
        s.append("// Written by layout/Generate.java from layout/zone.layout. Change that file, not this one.\n")
                .append("package io.atoll.core.zone;\n\n")
                .append("/** Layout ").append(name).append(' ').append(dotted())
                .append(": where everything lies that Java and C share in memory. Little-endian. */\n")
                .append("public final class ZoneLayout {\n    private ZoneLayout() {}\n\n");
        s.append("    public static final int VERSION = ").append(hex(packedVersion())).append(";\n");
        s.append("    /** Of the layout, texts aside. */\n    public static final int FINGERPRINT = ").append(hex(fingerprint())).append(";\n");
        for (Const c : consts) {
            boolean small = radix(c.value) == 10;
            s.append("    /** ").append(c.text).append(". */\n    public static final ").append(small ? "int " : "long ")
                    .append(c.name).append(" = ").append(c.value).append(small ? "" : "L").append(";\n");
        }
        for (Enumeration e : enums) {
            s.append("\n    /** ").append(e.text).append(" */\n    public static final class ").append(camel(e.name))
                    .append(" {\n        private ").append(camel(e.name)).append("() {}\n\n");
            for (Value v : e.values) {
                s.append("        /** ").append(v.text).append(". */\n        public static final int ").append(v.name)
                        .append(" = ").append(v.number).append(";\n");
            }
            s.append("    }\n");
        }
        for (Rec r : records) {
            s.append("\n    /** ").append(r.text).append(" */\n    public static final class ").append(camel(r.name))
                    .append("Record {\n        private ").append(camel(r.name)).append("Record() {}\n\n");
            s.append("        public static final int SIZE = ").append(r.size).append(";\n");
            for (Field f : r.fields) {
                if (f.isReserved()) {
                    continue;
                }
                s.append("        /** ").append(f.atomic ? "atomic " : "").append(f.type)
                        .append(f.count > 1 ? "[" + f.count + "]" : "").append(": ").append(f.text).append(". */\n")
                        .append("        public static final int ").append(upper(f.name)).append(" = ").append(f.offset).append(";\n");
                if (f.count > 1) {
                    s.append("        public static final int ").append(upper(f.name)).append("_ELEMENTS = ").append(f.count).append(";\n");
                }
            }
            s.append("    }\n");
        }
        return s.append("}\n").toString();
    }

    String header() {
        StringBuilder s = new StringBuilder();
        s.append("/* Written by layout/Generate.java from layout/zone.layout. Change that file, not this one. */\n")
                .append("#ifndef ATOLL_LAYOUT_H\n#define ATOLL_LAYOUT_H\n\n#include <assert.h>\n#include <stdatomic.h>\n")
                .append("#include <stddef.h>\n#include <stdint.h>\n\n")
                .append("_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, \"the zone is little-endian\");\n")
                .append("_Static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, \"plain words\");\n\n");
        s.append("#define ATOLL_LAYOUT_VERSION UINT32_C(").append(hex(packedVersion())).append(")\n");
        s.append("#define ATOLL_LAYOUT_VERSION_TEXT \"").append(dotted()).append("\"\n");
        s.append("#define ATOLL_LAYOUT_FINGERPRINT UINT32_C(").append(hex(fingerprint())).append(")\n");
        for (Const c : consts) {
            boolean small = radix(c.value) == 10;
            s.append("#define ATOLL_").append(c.name).append(small ? " UINT32_C(" : " UINT64_C(").append(c.value).append(") /* ")
                    .append(c.text).append(" */\n");
        }
        for (Enumeration e : enums) {
            s.append("\n/* ").append(e.text).append(" */\nenum {\n");
            for (Value v : e.values) {
                s.append("    ATOLL_").append(upper(e.name)).append('_').append(v.name).append(" = ").append(v.number)
                        .append(", /* ").append(v.text).append(" */\n");
            }
            s.append("    ATOLL_").append(upper(e.name)).append("_COUNT_ = ").append(e.values.size()).append("\n};\n");
        }
        for (Rec r : records) {
            String type = "atoll_" + r.name + "_record_t";
            s.append("\n/* ").append(r.text).append(" */\ntypedef struct {\n");
            for (Field f : r.fields) {
                s.append("    ").append(f.atomic ? "_Atomic " : "").append("uint").append(f.width * 8).append("_t ").append(f.name)
                        .append(f.count > 1 || f.isReserved() ? "[" + f.count + "]" : "").append(';');
                if (!f.isReserved()) {
                    s.append(" /* ").append(f.text).append(" */");
                }
                s.append('\n');
            }
            s.append("} ").append(type).append(";\n\n");
            for (Field f : r.fields) {
                s.append("_Static_assert(offsetof(").append(type).append(", ").append(f.name).append(") == ").append(f.offset)
                        .append(", \"").append(r.name).append('.').append(f.name).append("\");\n");
            }
            s.append("_Static_assert(sizeof(").append(type).append(") == ").append(r.size).append(", \"").append(r.name).append("\");\n");
        }
        return s.append("\n#endif\n").toString();
    }

    String page() {
        StringBuilder s = new StringBuilder();
        s.append("<!-- Written by layout/Generate.java from layout/zone.layout. Change that file, not this one. -->\n")
                .append("# Zone layout ").append(dotted()).append("\n\n")
                .append("Everything that Java and C share in memory, byte by byte. Little-endian; offsets and sizes in bytes; times are\n")
                .append("CLOCK_MONOTONIC milliseconds; *atomic* fields are read and written by several processes at once, the others are\n")
                .append("written before the word that publishes them. Version `").append(dotted()).append("`, fingerprint `")
                .append(hex(fingerprint())).append("`.\n\n## Constants\n\n| name | value | meaning |\n|---|---|---|\n");
        consts.forEach(c -> s.append("| `").append(c.name).append("` | `").append(c.value).append("` | ").append(c.text).append(" |\n"));
        for (Enumeration e : enums) {
            s.append("\n## ").append(e.name).append("\n\n").append(e.text).append("\n\n| name | value | meaning |\n|---|---|---|\n");
            e.values.forEach(v -> s.append("| `").append(v.name).append("` | ").append(v.number).append(" | ").append(v.text).append(" |\n"));
        }
        for (Rec r : records) {
            s.append("\n## ").append(r.name).append("\n\n").append(r.text).append(" ").append(r.size)
                    .append(" bytes.\n\n| offset | type | name | meaning |\n|---|---|---|---|\n");
            for (Field f : r.fields) {
                s.append("| ").append(f.offset).append(" | ").append(f.atomic ? "atomic " : "").append(f.type)
                        .append(f.count > 1 || f.isReserved() ? "[" + f.count + "]" : "").append(" | ")
                        .append(f.isReserved() ? "" : "`" + f.name + "`").append(" | ")
                        .append(f.isReserved() ? "reserved" : f.text).append(" |\n");
            }
        }
        return s.toString();
    }
}
