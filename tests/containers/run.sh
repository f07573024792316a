#!/usr/bin/env bash
#
# Runs ContainerTest against the engine that up.sh brought up: first outside, on the local nginx alone, where Maven can
# fetch what it lacks; then within the engine's network namespace, out of which there is no way.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ -n "$(engine_pid)" ] || die "no engine runs; tests/containers/up.sh starts it."
cd "$ROOT"

scene() {
    "$@" -B -ntp -Dstyle.color=never -Dskip.unit -Dit.test=ContainerTest -Dfailsafe.failIfNoSpecifiedTests=false \
        -pl tests -am verify </dev/null
}

scene mvn -q
scene nsenter --net="/run/netns/$NETNS" env DOCKER_HOST="$SOCKET" TESTCONTAINERS_RYUK_DISABLED=true \
    TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1 ATOLL_TEST_IMAGE="$IMAGE" mvn -o
