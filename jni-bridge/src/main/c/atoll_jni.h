/*
 * Hosts the JVM that compiles tables: what libatoll_jni.so exports.
 *
 * No JNI types here; atoll_jni.c is the only C file that includes jni.h. Called by the compile child
 * (nginx-module/compiler/atoll_compile_child.c), which is a fork of the nginx master and ends right after the call.
 */
#ifndef ATOLL_JNI_H
#define ATOLL_JNI_H

#include <stddef.h>

/*
 * Starts the JVM of libjvm_path on a thread of its own, with library_dir/atoll-core.jar as its class path, and has
 * java-core write the tables that the compile request at region asks for. library_dir is absolute and without links,
 * as the class-data archive compares paths; the archive is used when library_dir/atoll-core.jsa and the JVM's own
 * base archive are there, and quietly left aside when it belongs to another JVM or jar.
 *
 * Returns 0, or -errno with one line in error: -ENOENT no such libjvm, -ENOEXEC not a JVM, -ENOMEM, -EAGAIN no thread,
 * -ECANCELED the JVM did not start, -EPROTO a Java exception (its class and message).
 *
 * To be called once in a process's life, as a process has one JVM; the JVM and its threads stay, so end it with _exit().
 */
typedef int (*atoll_jni_compile_pt)(const char *libjvm_path, const char *library_dir, void *region, size_t length,
                                    size_t heap_bytes, char *error, size_t error_size);

#define ATOLL_JNI_SYMBOL "atoll_jni_compile"

__attribute__((visibility("default")))
int atoll_jni_compile(const char *libjvm_path, const char *library_dir, void *region, size_t length, size_t heap_bytes,
                      char *error, size_t error_size);

#endif
