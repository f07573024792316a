/*
 * One compile, from dlopen of libjvm to the answer of java-core. The steps come in the order of a job's life; each that
 * holds something is taken back in reverse order when a later one fails, as far as a JVM lets itself be taken back.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <jni.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "atoll_jni.h"

#define ENTRY_CLASS      "io/atoll/jni/CompileEntry"
#define ENTRY_METHOD     "compile"
#define ENTRY_SIGNATURE  "(Ljava/nio/ByteBuffer;)V"

/* Of the thread that runs Java, bytes. The JVM's guard pages lie within. */
#define STACK_BYTES  (4u << 20)
#define PATH_BYTES   4096
#define OPTION_COUNT 32

/* HotSpot's cds.h: CDS_DYNAMIC_ARCHIVE_MAGIC, the same in JDK 17 to 25. */
#define DYNAMIC_ARCHIVE_MAGIC  0xf00baba8

typedef jint (*create_vm_pt)(JavaVM **vm, void **env, void *args);

typedef struct {
    const char    *libjvm_path;
    const char    *library_dir;
    void          *region;
    size_t         length;
    size_t         heap_bytes;
    char          *error;
    size_t         error_size;
    create_vm_pt   create_vm;
    int            result;
} job_t;

typedef struct {
    JavaVMOption   list[OPTION_COUNT];
    jint           count;
    char           class_path[PATH_BYTES + 64];
    char           archive[3 * PATH_BYTES];
    char           heap[32];
} options_t;


__attribute__((format(printf, 3, 4)))
static int
fail(job_t *job, int error, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vsnprintf(job->error, job->error_size, format, args);
    va_end(args);

    return -error;
}


static void
add_option(options_t *options, const char *text)
{
    options->list[options->count].optionString = (char *) text;
    options->list[options->count++].extraInfo = NULL;
}


/* Looks at the first word only: a JVM refuses to start over a file that is no archive, and ignores one that is not its. */
static int
is_archive(const char *path)
{
    FILE      *file;
    size_t     n;
    uint32_t   magic;

    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }

    n = fread(&magic, sizeof(magic), 1, file);
    fclose(file);

    return n == 1 && magic == DYNAMIC_ARCHIVE_MAGIC;
}


/*
 * Both archives are named: given the upper one alone, a JVM of another version gives up its own base archive too
 * (measured with JDK 25 and an archive of JDK 17: 533 classes from the archive became 0).
 */
static void
add_archive(options_t *options, const job_t *job)
{
    int          folder;
    char         base[PATH_BYTES + 32], upper[PATH_BYTES + 32];
    const char  *slash;

    slash = strrchr(job->libjvm_path, '/');
    folder = slash == NULL ? 0 : (int) (slash - job->libjvm_path);

    snprintf(base, sizeof(base), "%.*s/classes.jsa", folder, job->libjvm_path);
    snprintf(upper, sizeof(upper), "%s/atoll-core.jsa", job->library_dir);

    if (access(base, R_OK) == 0 && is_archive(upper)) {
        snprintf(options->archive, sizeof(options->archive), "-XX:SharedArchiveFile=%s:%s", base, upper);
        add_option(options, options->archive);
    }
}


static void
set_options(options_t *options, const job_t *job)
{
    options->count = 0;

    snprintf(options->class_path, sizeof(options->class_path), "-Djava.class.path=%s/atoll-core.jar", job->library_dir);
    snprintf(options->heap, sizeof(options->heap), "-Xmx%zuk", job->heap_bytes / 1024);

    add_option(options, options->class_path);
    add_option(options, options->heap);
    add_option(options, "-Xrs");
    add_option(options, "-XX:+IgnoreUnrecognizedVMOptions");
    add_option(options, "-XX:+UnlockDiagnosticVMOptions");

    /* quick to start: see "What was measured" in docs/jni-bridge.md */
    add_option(options, "-XX:+UseG1GC");
    add_option(options, "-XX:ParallelGCThreads=1");
    add_option(options, "-XX:ConcGCThreads=1");
    add_option(options, "-XX:TieredStopAtLevel=1");
    add_option(options, "-XX:ArchiveRelocationMode=0");
    add_option(options, "-XX:-UsePerfData");
    add_option(options, "-XX:+DisableAttachMechanism");

    /* quiet: no warnings, no core, no hs_err file; a crash report begins with its summary and goes to stdout */
    add_option(options, "-Xlog:disable");
    add_option(options, "-XX:-PrintWarnings");
    add_option(options, "-XX:+ErrorFileToStdout");
    add_option(options, "-XX:-CreateCoredumpOnCrash");

    add_option(options, "-Xshare:auto");
    add_archive(options, job);
}


/* The pending exception as "class: message" on one line; clears it. */
static int
fail_with_exception(job_t *job, JNIEnv *env)
{
    char        *p;
    jclass       class;
    jstring      text;
    jmethodID    to_string;
    jthrowable   exception;
    const char  *chars;

    exception = (*env)->ExceptionOccurred(env);
    (*env)->ExceptionClear(env);

    text = NULL;
    chars = NULL;
    class = (*env)->FindClass(env, "java/lang/Object");
    to_string = class == NULL ? NULL : (*env)->GetMethodID(env, class, "toString", "()Ljava/lang/String;");

    if (exception != NULL && to_string != NULL) {
        text = (*env)->CallObjectMethod(env, exception, to_string);
        chars = text == NULL ? NULL : (*env)->GetStringUTFChars(env, text, NULL);
    }

    (*env)->ExceptionClear(env);
    fail(job, EPROTO, "%s", chars == NULL ? "a Java exception that does not tell what it is" : chars);

    for (p = job->error; *p != '\0'; p++) {
        if ((unsigned char) *p < ' ') {
            *p = ' ';
        }
    }

    if (chars != NULL) {
        (*env)->ReleaseStringUTFChars(env, text, chars);
    }

    return -EPROTO;
}


/* The JVM runs, and its class path has no entry point: a jar that is damaged or belongs to another build. */
static int
fail_without_entry(job_t *job, JNIEnv *env)
{
    (*env)->ExceptionClear(env);

    return fail(job, ELIBBAD, "%s/atoll-core.jar has no usable class " ENTRY_CLASS ": it is damaged or of another build; use the "
                "one that was built with libatoll_jni.so", job->library_dir);
}


static int
call_entry(job_t *job, JNIEnv *env)
{
    jclass     class;
    jobject    buffer;
    jmethodID  method;

    class = (*env)->FindClass(env, ENTRY_CLASS);
    method = class == NULL ? NULL : (*env)->GetStaticMethodID(env, class, ENTRY_METHOD, ENTRY_SIGNATURE);
    if (method == NULL) {
        return fail_without_entry(job, env);
    }

    buffer = (*env)->NewDirectByteBuffer(env, job->region, (jlong) job->length);
    if (buffer == NULL) {
        return (*env)->ExceptionCheck(env) ? fail_with_exception(job, env)
                                           : fail(job, ENOMEM, "the JVM has no direct byte buffers");
    }

    (*env)->CallStaticVoidMethod(env, class, method, buffer);

    return (*env)->ExceptionCheck(env) ? fail_with_exception(job, env) : 0;
}


static const char *
create_error(jint code)
{
    switch (code) {
    case JNI_EDETACHED: return "thread detached (JNI_EDETACHED)";
    case JNI_EVERSION:  return "JNI version not supported (JNI_EVERSION)";
    case JNI_ENOMEM:    return "not enough memory (JNI_ENOMEM)";
    case JNI_EEXIST:    return "there is a JVM already (JNI_EEXIST)";
    case JNI_EINVAL:    return "invalid option (JNI_EINVAL)";
    default:            return "JNI_ERR";
    }
}


static void *
run(void *data)
{
    jint            code;
    job_t          *job;
    JNIEnv         *env;
    JavaVM         *vm;
    options_t       options;
    JavaVMInitArgs  args;

    job = data;
    set_options(&options, job);

    args.version = JNI_VERSION_10;
    args.nOptions = options.count;
    args.options = options.list;
    args.ignoreUnrecognized = JNI_FALSE;

    code = job->create_vm(&vm, (void **) &env, &args);

    if (code == JNI_OK) {
        job->result = call_entry(job, env);
    } else {
        job->result = fail(job, code == JNI_ENOMEM ? ENOMEM : ECANCELED, "the JVM of %s did not start: %s",
                           job->libjvm_path, create_error(code));
    }

    return NULL;
}


/* Runs the job on a thread with a known stack: a process's first thread has none that the JVM could guard. */
static int
run_on_thread(job_t *job)
{
    int             error;
    pthread_t       thread;
    pthread_attr_t  attributes;

    error = pthread_attr_init(&attributes);
    if (error != 0) {
        return fail(job, error, "pthread_attr_init: %s", strerror(error));
    }

    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (error == 0) {
        error = pthread_create(&thread, &attributes, run, job);
    }

    pthread_attr_destroy(&attributes);

    if (error != 0) {
        return fail(job, error, "no thread for the JVM: %s", strerror(error));
    }

    error = pthread_join(thread, NULL);

    return error == 0 ? job->result : fail(job, error, "pthread_join: %s", strerror(error));
}


int
atoll_jni_compile(const char *libjvm_path, const char *library_dir, void *region, size_t length, size_t heap_bytes,
                  char *error, size_t error_size)
{
    job_t   job;
    void   *libjvm;

    job = (job_t) { libjvm_path, library_dir, region, length, heap_bytes, error, error_size, NULL, 0 };

    if (strlen(libjvm_path) >= PATH_BYTES || strlen(library_dir) >= PATH_BYTES) {
        return fail(&job, ENAMETOOLONG, "the path of libjvm or of the library folder is longer than %d bytes", PATH_BYTES);
    }

    libjvm = dlopen(libjvm_path, RTLD_NOW | RTLD_GLOBAL);
    if (libjvm == NULL) {
        return fail(&job, ENOENT, "%s", dlerror());
    }

    *(void **) &job.create_vm = dlsym(libjvm, "JNI_CreateJavaVM");
    if (job.create_vm == NULL) {
        fail(&job, ENOEXEC, "%s is no JVM: it has no JNI_CreateJavaVM", libjvm_path);
        dlclose(libjvm);
        return -ENOEXEC;
    }

    return run_on_thread(&job);
}
