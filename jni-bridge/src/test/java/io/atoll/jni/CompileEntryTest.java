package io.atoll.jni;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.table.CompileException;
import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.Table;
import io.atoll.core.zone.ZoneLayout.CompileRequestRecord;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.Test;

class CompileEntryTest {
    @Test
    void shouldCompileTheSample() {
        ByteBuffer region = SampleRequest.create().region();

        CompileEntry.compile(region);

        Table.open(CompileRequest.table(region, 0));
        Table.open(CompileRequest.table(region, 1));
    }

    @Test
    void shouldRefuseARequestOfAnotherLayout() {
        ByteBuffer region = SampleRequest.create().region();
        int fingerprint = region.getInt(CompileRequestRecord.FINGERPRINT);
        region.putInt(CompileRequestRecord.FINGERPRINT, fingerprint + 1);

        CompileException e = assertThrows(CompileException.class, () -> CompileEntry.compile(region));

        assertTrue(e.getMessage().contains(Integer.toHexString(fingerprint + 1)), e.getMessage());
        assertTrue(e.getMessage().contains("one build"), e.getMessage());
    }

    @Test
    void shouldHaveTheNameAndSignatureThatTheCSideLooksFor() throws Exception {
        String c = Files.readString(Path.of("src/main/c/atoll_jni.c"));

        Class<?> type = Class.forName(constant(c, "ENTRY_CLASS").replace('/', '.'));
        Method method = type.getMethod(constant(c, "ENTRY_METHOD"), ByteBuffer.class);

        assertTrue(Modifier.isStatic(method.getModifiers()));
        assertEquals(constant(c, "ENTRY_SIGNATURE"),
                MethodType.methodType(method.getReturnType(), method.getParameterTypes()).toMethodDescriptorString());
    }

    @Test
    void shouldNeedJavaBaseOnly() {
        ToolProvider jdeps = ToolProvider.findFirst("jdeps").orElseThrow();
        StringWriter out = new StringWriter();
        String core = CompileRequest.class.getProtectionDomain().getCodeSource().getLocation().getPath();

        int code = jdeps.run(new PrintWriter(out), new PrintWriter(out), "--multi-release", "17", "--print-module-deps",
                "--ignore-missing-deps", "target/classes", core);

        assertEquals(0, code, out.toString());
        assertEquals("java.base", out.toString().strip());
    }

    private static String constant(String c, String name) {
        Matcher matcher = Pattern.compile("#define " + name + " +\"([^\"]*)\"").matcher(c);
        assertTrue(matcher.find(), name);
        return matcher.group(1);
    }
}
