# Names that up.sh, run.sh and down.sh share. Sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NETNS=atoll-containers
STATE=/run/atoll-containers              # sockets and pid files
DATA=$ROOT/tests/target/containers       # the engine's storage, and the image as an archive
SOCKET=unix://$STATE/docker.sock
IMAGE=atoll-test/nginx:debian

say() { printf '%s\n' "$*"; }
die() { printf 'containers: %s\n' "$*" >&2; exit 1; }

# The engine's process, if it runs: a pid file may be older than the machine's present boot.
engine_pid() {
    local pid
    pid=$(cat "$STATE/docker.pid" 2>/dev/null) || return 0
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then echo "$pid"; fi
}

engine_answers() { docker --host "$SOCKET" version >/dev/null 2>&1; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || { say "waited in vain for $what" >&2; return 1; }
        sleep 0.1
    done
}
