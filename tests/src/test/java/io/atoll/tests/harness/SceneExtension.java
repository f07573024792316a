package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.opentest4j.TestAbortedException;

/** Gives a test its {@link Scene} and closes it. The folder of a failed scene is kept and named. */
public final class SceneExtension
        implements ParameterResolver, BeforeEachCallback, AfterEachCallback {
    private static final ExtensionContext.Namespace SPACE = ExtensionContext.Namespace.create(SceneExtension.class);

    @Override
    public void beforeEach(ExtensionContext context) {
        System.out.println(context.getRequiredTestClass().getSimpleName() + ": " + context.getDisplayName()
                .replaceAll("\\(.*\\)", ""));
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == Scene.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        return context.getStore(SPACE).getOrComputeIfAbsent(Scene.class, type -> {
            try {
                return new Scene(context.getRequiredTestMethod().getName());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    @Override
    public void afterEach(ExtensionContext context) throws Exception {
        Scene scene = context.getStore(SPACE).remove(Scene.class, Scene.class);
        if (scene == null) {
            return;
        }
        boolean keep = context.getExecutionException().filter(e -> !(e instanceof TestAbortedException)).isPresent();
        try {
            scene.close();
        } catch (Exception | AssertionError e) {
            keep = true;
            throw e;
        } finally {
            if (keep) {
                Scene.print("kept for a look: %s", scene.folder());
            } else {
                scene.delete();
            }
        }
    }
}
