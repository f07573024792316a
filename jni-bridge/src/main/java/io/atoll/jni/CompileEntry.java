package io.atoll.jni;

import io.atoll.core.table.TableCompiler;
import java.nio.ByteBuffer;

/**
 * The one Java method that the compile child calls. Its name and signature are also in atoll_jni.c.
 *
 * <p>Whatever it throws becomes the error text of the nginx master, as "class: message" on one line.
 */
public final class CompileEntry {
    private CompileEntry() {}

    /**
     * Writes the tables that a compile request asks for into its output part.
     *
     * @param region the whole region, from the {@code compile_request} record on
     * @see TableCompiler#compile(ByteBuffer)
     */
    public static void compile(ByteBuffer region) {
        TableCompiler.compile(region);
    }
}
