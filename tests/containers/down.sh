#!/usr/bin/env bash
#
# Ends the engine of up.sh with its containers and its namespace. The image's archive stays, for the next time.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

gone() { [ -z "$(engine_pid)" ]; }

pid=$(engine_pid)
if [ -n "$pid" ]; then
    docker --host "$SOCKET" ps -aq 2>/dev/null | xargs -r docker --host "$SOCKET" rm -f >/dev/null 2>&1 || true
    kill -TERM "$pid"
    wait_for 20 "the container engine to end" gone || kill -KILL "$pid"
    say "the container engine ended"
fi
if ip netns list | grep -q "^$NETNS\b"; then ip netns del "$NETNS"; fi
rm -rf "$STATE" "$DATA/engine"
