#!/bin/sh
# Puts the bridge's part of the build product together: libatoll_jni.so, atoll-core.jar and atoll-core.jsa.
#
#   dist.sh BUILD DIST JAVA_HOME
#
# The archive is made with the very jar path and garbage collector it will be used with, and replaced whenever the jar is,
# since it records the jar's path, size and time and the JVM that made it. Files are moved into place, so that a compile that runs
# meanwhile sees the old ones or the new ones.
set -eu

build=$1 java=$3/bin/java
mkdir -p "$2"
dist=$(cd "$2" && pwd -P)

rm -f "$dist/atoll-core.jsa"
for file in native/libatoll_jni.so atoll-core.jar; do
    cp -p "$build/$file" "$dist/.new"
    mv "$dist/.new" "$dist/${file##*/}"
done

cd "$build"
if ! "$java" -Xshare:auto -XX:ArchiveClassesAtExit="$dist/.new" -Xlog:disable -Xlog:all=error:stderr \
        -XX:+UseG1GC -XX:TieredStopAtLevel=1 -Xmx64m -cp "$dist/atoll-core.jar" \
        io.atoll.jni.SampleRequest >archive.log 2>&1; then
    cat archive.log >&2
    exit 1
fi
if [ -e "$dist/.new" ]; then
    mv "$dist/.new" "$dist/atoll-core.jsa"
else
    echo "no class-data archive: the JVM of $3 cannot make one (each compile takes a few ms longer)" >&2
fi
