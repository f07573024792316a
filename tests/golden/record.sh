#!/bin/sh
# Records which peers a stock nginx asks for keys, and in which order, with `hash $arg_k consistent`.
#
#   tests/golden/record.sh [FOLDER]      writes FOLDER/*.txt (default: beside this script)
#
# Needs root (a network and mount namespace of its own), nginx, curl, unshare, python3. Nothing listens on the peers' addresses:
# each refuses, nginx goes on to the next, and $upstream_addr holds the order. max_fails=0 keeps refusals from having
# consequences. One worker and one connection at a time, so that the turns among the addresses of a name are repeatable.
# The format is described in README.md beside this script.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-$here}" && cd "${1:-$here}" && pwd)

if [ "${ATOLL_GOLDEN_INSIDE:-}" != 1 ]; then
    [ "$(id -u)" = 0 ] || { echo "record.sh: must run as root, to have a network of its own" >&2; exit 1; }
    exec env ATOLL_GOLDEN_INSIDE=1 unshare -n -m --propagation private "$here/record.sh" "$out"
fi

work=$(mktemp -d)
trap 'test ! -s "$work/nginx.pid" || kill "$(cat "$work/nginx.pid")"; rm -rf "$work"' EXIT
ip link set lo up

# Names without an address of their own; many.example.net has three, pair.example.net two.
cat > "$work/hosts" <<'END'
127.0.0.1 localhost
127.0.1.1 cache1
127.0.1.2 cache2
127.0.1.3 cache3
127.0.2.1 many.example.net
127.0.2.2 many.example.net
127.0.2.3 many.example.net
127.0.3.1 pair.example.net
127.0.3.2 pair.example.net
END
mount --bind "$work/hosts" /etc/hosts

# pool NAME KEYS TRIES; on stdin a server a line: SERVER ADDRESS[,ADDRESS...] [weight=N] [down]
pool() {
    name=$1 keys=$2 tries=$3
    cat > "$work/pool"
    cat > "$work/nginx.conf" <<END
worker_processes 1;
pid $work/nginx.pid;
events { worker_connections 64; }
http {
    access_log off;
    log_format order escape=none '\$arg_k \$upstream_addr';
    client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
    keepalive_requests 1000000;
    upstream pool {
        hash \$arg_k consistent;
$(awk '{ print "        server", $1, $3, $4, "max_fails=0;" }' "$work/pool")
    }
    server {
        listen 127.0.0.1:7999;
        access_log $work/order.log order;
        location / {
            proxy_pass http://pool;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries $tries;
        }
    }
}
END
    : > "$work/order.log"
    nginx -c "$work/nginx.conf" -e "$work/error.log"
    curl -s -o /dev/null "http://127.0.0.1:7999/?k=key-[1-$keys]"
    kill -QUIT "$(cat "$work/nginx.pid")"
    while [ -s "$work/nginx.pid" ]; do :; done
    {
        echo "# Recorded from $(nginx -v 2>&1 | sed 's/^nginx version: //') by tests/golden/record.sh; see README.md."
        awk '{
            weight = 1; down = ""
            for (i = 3; i <= NF; i++) { if (sub(/^weight=/, "", $i)) weight = $i; else down = " " $i }
            n = split($2, address, ",")
            for (i = 1; i <= n; i++) print "peer", $1, address[i], weight down
        }' "$work/pool"
        python3 -c '
import sys, zlib
for line in sys.stdin:
    key, order = line.split(" ", 1)
    print("key", key, "%08x" % zlib.crc32(key.encode()), order.strip().replace(", ", " "))' < "$work/order.log"
    } > "$out/$name.txt"
    echo "$name: $(grep -c ^key "$out/$name.txt") keys"
}

# same FIRST LAST FORMAT: servers that are addresses
same() { i=$1; while [ "$i" -le "$2" ]; do printf "$3 $3\n" "$i" "$i"; i=$((i + 1)); done; }

same 1 1 127.0.0.%d:8080 | pool one 50 3
same 1 2 127.0.0.%d:8080 | pool two 2000 3
same 1 3 127.0.0.%d:8080 | pool three 2000 3
same 1 10 127.0.0.%d:8080 | pool ten 2000 4
same 1 100 127.0.0.%d:8080 | pool hundred 2000 4
pool weights 2000 3 <<'END'
127.0.0.1:8080 127.0.0.1:8080 weight=5
127.0.0.2:8080 127.0.0.2:8080
127.0.0.3:8080 127.0.0.3:8080 weight=2
127.0.0.4:8080 127.0.0.4:8080 weight=3
END
pool names 2000 3 <<'END'
cache1 127.0.1.1:80
cache2 127.0.1.2:80
cache3:8080 127.0.1.3:8080
127.0.0.1 127.0.0.1:80
END
pool unix 2000 3 <<'END'
unix:/run/atoll-golden/a.sock unix:/run/atoll-golden/a.sock
UNIX:/run/atoll-golden/b.sock UNIX:/run/atoll-golden/b.sock
127.0.0.1:8080 127.0.0.1:8080
unix:/run/atoll-golden/c.sock unix:/run/atoll-golden/c.sock
END
pool down 2000 3 <<'END'
127.0.0.1:8080 127.0.0.1:8080
127.0.0.2:8080 127.0.0.2:8080 down
127.0.0.3:8080 127.0.0.3:8080
127.0.0.4:8080 127.0.0.4:8080 down
127.0.0.5:8080 127.0.0.5:8080
END
pool addresses 2000 3 <<'END'
many.example.net:8080 127.0.2.1:8080,127.0.2.2:8080,127.0.2.3:8080 weight=2
pair.example.net:8080 127.0.3.1:8080,127.0.3.2:8080
127.0.0.1:8080 127.0.0.1:8080
END
pool repeated 2000 3 <<'END'
127.0.0.1:8080 127.0.0.1:8080
127.0.0.2:8080 127.0.0.2:8080 weight=2
127.0.0.1:8080 127.0.0.1:8080 weight=3
127.0.0.2:8080 127.0.0.2:8080
127.0.0.3:8080 127.0.0.3:8080
END
