/* Which JVM is taken, and what is said when none is. Nothing is loaded: the homes are made of empty files. */
#define _GNU_SOURCE
#include "../atoll_java_home.h"
#include "compile_test.h"

static atoll_java_home_t  java;
static char               error[ATOLL_COMPILE_ERROR];


static int
find(const char *home, const char *folder)
{
    error[0] = '\0';

    return atoll_java_home_find(&java, home, folder, error, sizeof(error));
}


/* No JAVA_HOME, and a PATH without java. */
static void
clear_environment(void)
{
    unsetenv("JAVA_HOME");
    setenv("PATH", in_test_folder("nowhere"), 1);
}


static void
shouldTakeTheHomeThatIsGiven(void)
{
    clear_environment();
    setenv("JAVA_HOME", in_test_folder("jvm/jdk-25"), 1);

    CHECK(find(in_test_folder("jvm/jdk-17.0.9"), in_test_folder("jvm")) == 0);
    CHECK(strcmp(java.version, "17.0.9") == 0);
    CHECK(java.feature == 17);
    CHECK(strcmp(java.libjvm, in_test_folder("jvm/jdk-17.0.9/lib/server/libjvm.so")) == 0);
}


static void
shouldLookNowhereElseWhenTheGivenHomeIsNoGood(void)
{
    clear_environment();
    setenv("JAVA_HOME", in_test_folder("jvm/jdk-25"), 1);

    CHECK(find(in_test_folder("none"), in_test_folder("jvm")) == -1);
    CHECK_SAYS(error, in_test_folder("none"));
    CHECK_SAYS(error, "No such file or directory");
    CHECK_SAYS(error, "version 17 or newer");
}


static void
shouldSayTheVersionFoundAndTheVersionWanted(void)
{
    clear_environment();

    CHECK(find(in_test_folder("old/jdk-11"), in_test_folder("jvm")) == -1);
    CHECK_SAYS(error, "found version 11.0.2, wanted 17 or newer");

    CHECK(find(in_test_folder("old/jdk-8"), in_test_folder("jvm")) == -1);
    CHECK_SAYS(error, "found version 1.8.0_392, wanted 17 or newer");
}


static void
shouldTakeAHomeWithoutAReleaseFileAtItsWord(void)
{
    clear_environment();

    CHECK(find(in_test_folder("plain"), in_test_folder("jvm")) == 0);
    CHECK(java.feature == 0);
    CHECK(strcmp(java.version, "unknown") == 0);
}


static void
shouldSayThatLibjvmIsMissing(void)
{
    clear_environment();

    CHECK(find(in_test_folder("empty"), in_test_folder("jvm")) == -1);
    CHECK_SAYS(error, "lib/server/libjvm.so: No such file");
}


static void
shouldPreferJavaHomeToThePath(void)
{
    clear_environment();
    setenv("JAVA_HOME", in_test_folder("jvm/jdk-17.0.9"), 1);
    setenv("PATH", in_test_folder("jvm/jdk-25/bin"), 1);

    CHECK(find(NULL, in_test_folder("jvm")) == 0);
    CHECK(strcmp(java.version, "17.0.9") == 0);
}


static void
shouldFollowTheLinksOfTheJavaOnThePath(void)
{
    char  path[1024];

    clear_environment();
    snprintf(path, sizeof(path), "%s::%s", in_test_folder("nowhere"), in_test_folder("links"));
    setenv("PATH", path, 1);

    CHECK(find(NULL, in_test_folder("nowhere")) == 0);
    CHECK(strcmp(java.home, in_test_folder("jvm/jdk-17.0.15")) == 0);
}


static void
shouldTakeTheNewestOfTheFolder(void)
{
    clear_environment();
    CHECK(find(NULL, in_test_folder("jvm")) == 0);
    CHECK(strcmp(java.version, "25.0.3") == 0);

    CHECK(find(NULL, in_test_folder("seventeen")) == 0);
    CHECK(strcmp(java.version, "17.0.15") == 0);
}


static void
shouldGoOnWhenJavaHomeIsTooOld(void)
{
    clear_environment();
    setenv("JAVA_HOME", in_test_folder("old/jdk-11"), 1);

    CHECK(find(NULL, in_test_folder("jvm")) == 0);
    CHECK(strcmp(java.version, "25.0.3") == 0);
}


static void
shouldListEveryPlaceThatWasLookedAt(void)
{
    clear_environment();
    CHECK(find(NULL, in_test_folder("nowhere")) == -1);
    CHECK_SAYS(error, "no JVM of version 17 or newer found");
    CHECK_SAYS(error, "JAVA_HOME (not set)");
    CHECK_SAYS(error, "java on PATH (none)");
    CHECK_SAYS(error, in_test_folder("nowhere"));
    CHECK_SAYS(error, "atoll_java home=");

    setenv("JAVA_HOME", in_test_folder("empty"), 1);
    setenv("PATH", in_test_folder("old/jdk-11/bin"), 1);
    CHECK(find(NULL, in_test_folder("old")) == -1);
    CHECK_SAYS(error, in_test_folder("empty"));
    CHECK_SAYS(error, "java on PATH (");
    CHECK_SAYS(error, "found version 11.0.2, wanted 17 or newer");
    CHECK_SAYS(error, "found version 1.8.0_392, wanted 17 or newer");
}


int
main(void)
{
    make_test_folder();
    make_java_home("jvm/jdk-17.0.9", "17.0.9");
    make_java_home("jvm/jdk-17.0.15", "17.0.15");
    make_java_home("jvm/jdk-25", "25.0.3");
    make_java_home("jvm/jdk-11", "11.0.2");
    make_java_home("seventeen/a", "17.0.15");
    make_java_home("seventeen/b", "17.0.9");
    make_java_home("old/jdk-11", "11.0.2");
    make_java_home("old/jdk-8", "1.8.0_392");
    make_java_home("plain", NULL);
    make_file("empty/README", "");
    make_file("links/README", "");

    if (symlink("../jvm/jdk-17.0.15/bin/java", in_test_folder("links/javac-is-not-java")) == -1
        || symlink("javac-is-not-java", in_test_folder("links/java")) == -1)
    {
        bail_out("symlink");
    }

    RUN(shouldTakeTheHomeThatIsGiven);
    RUN(shouldLookNowhereElseWhenTheGivenHomeIsNoGood);
    RUN(shouldSayTheVersionFoundAndTheVersionWanted);
    RUN(shouldTakeAHomeWithoutAReleaseFileAtItsWord);
    RUN(shouldSayThatLibjvmIsMissing);
    RUN(shouldPreferJavaHomeToThePath);
    RUN(shouldFollowTheLinksOfTheJavaOnThePath);
    RUN(shouldTakeTheNewestOfTheFolder);
    RUN(shouldGoOnWhenJavaHomeIsTooOld);
    RUN(shouldListEveryPlaceThatWasLookedAt);

    return tap_done();
}
