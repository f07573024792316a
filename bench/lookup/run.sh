#!/usr/bin/env bash
# A lookup of Atoll beside stock nginx's, at 10 to 10,000 peers. About two minutes; needs a C compiler and valgrind.
#
#   bench/lookup/run.sh [PEERS...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
build=$root/nginx-module/build/bench
count=20000
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(10 100 1000 10000)

mkdir -p "$build"
${CC:-cc} -std=c11 -O2 -g -Wall -Wextra -o "$build/bench_lookup" "$here/bench_lookup.c" "$root"/nginx-module/reader/*.c

# Without what the loop itself costs.
nanoseconds() { awk -v all="$("$build/bench_lookup" "$1" "$2")" -v loop="$loop_ns" 'BEGIN { printf "%.1f", all - loop }'; }

collected() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=measured \
        "$build/bench_lookup" "$1" "$2" "$count" 2>&1 |
        awk -v count="$count" '/Collected/ { printf "%.0f", $4 / count }'
}

instructions() { echo $(($(collected "$1" "$2") - loop_instr)); }

loop_ns=$("$build/bench_lookup" nothing 10)
loop_instr=$(collected nothing 10)

echo "machine   $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, $(uname -sr)"
echo "compiler  $(${CC:-cc} --version | head -1)"
echo "valgrind  $(valgrind --version)"
echo "commit    $(git -C "$root" rev-parse --short HEAD)$(git -C "$root" diff --quiet HEAD -- nginx-module/reader bench/lookup || echo ' with changes')"
echo "command   bench/lookup/run.sh ${sizes[*]}"
echo
echo "search: the first point at or after a hash. pick: search, choice of the peer, its counters, report of a success."
echo "stock is a model of nginx 1.22's functions without locks (nginx-module/reader/test/stock.h)."
echo
printf '%-8s %8s   %10s %10s %7s   %12s %12s %7s\n' what peers 'stock ns' 'atoll ns' ratio 'stock instr.' 'atoll instr.' ratio

for what in search pick; do
    for peers in "${sizes[@]}"; do
        stock=$(nanoseconds stock-$what "$peers")
        atoll=$(nanoseconds atoll-$what "$peers")
        stock_instr=$(instructions stock-$what "$peers")
        atoll_instr=$(instructions atoll-$what "$peers")
        printf '%-8s %8d   %10.1f %10.1f %6.1fx   %12d %12d %6.1fx\n' "$what" "$peers" "$stock" "$atoll" \
            "$(awk "BEGIN { print $stock / $atoll }")" "$stock_instr" "$atoll_instr" \
            "$(awk "BEGIN { print $stock_instr / $atoll_instr }")"
    done
done
