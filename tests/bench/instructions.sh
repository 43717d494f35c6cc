#!/usr/bin/env bash
# instructions.sh [--check] PROGRAM [LIBRARY] - the instructions that a malloc() and its free() take,
# call and loop included, in some rows of bench_synthetic with LIBRARY preloaded: one line a row, its
# name and the count. Counted by callgrind, which repeats exactly, as the difference of two runs
# that only differ in length: start and end cancel out.
#
# --check: fails where a count is over its bound.
set -euo pipefail

# Row, pairs of the short and of the long run, bound. The bounds are a few per cent over what gcc 12 made
# of the fast paths, so that no step of them gets longer unnoticed; a count that a change lowers for good
# takes its bound along.
#   pair        malloc and free of one size
#   lifo        a thousand allocated, then freed in reverse: refills included
#   random-20k  random replacement over 20,000 live blocks of 16 to 255 bytes: the state of batches changes
rows='
pair        100000 300000  60
lifo        100000 300000  66
random-20k  200000 600000  99
'

check=
if [ "${1-}" = --check ]; then
    check=yes
    shift
fi
program=$1
library=${2-}

if ! command -v valgrind >/dev/null; then
    echo "skipped: instructions (needs valgrind)"
    exit 77
fi

# instructions ROW PAIRS - of a whole run.
instructions() {
    local log
    log=$(LD_PRELOAD=$library valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$program" "$1" "$2" 2>&1) || {
        printf '%s\n' "$log" >&2
        return 1
    }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' <<<"$log"
}

# count ROW SHORT LONG - of a pair.
count() {
    local few many
    few=$(instructions "$1" "$2")
    many=$(instructions "$1" "$3")
    awk -v total=$((many - few)) -v pairs=$(($3 - $2)) 'BEGIN { printf "%.1f\n", total / pairs }'
}

is_over() {
    awk -v count="$1" -v bound="$2" 'BEGIN { exit !(count > bound) }'
}

# What the clock sets going comes on top, where the machine has much else to do: the least of a few
# counts is that of the calls alone.
status=0
while read -r row short long bound; do
    [ -n "$row" ] || continue
    for ((try = 1; try <= 3; try++)); do
        pair=$(count "$row" "$short" "$long")
        if [ -z "$check" ] || ! is_over "$pair" "$bound"; then
            break
        fi
    done
    printf '%-10s %6.1f\n' "$row" "$pair"
    if [ "$try" -gt 3 ]; then
        echo "FAILED: $row: more than $bound instructions"
        status=1
    fi
done <<<"$rows"
exit "$status"
