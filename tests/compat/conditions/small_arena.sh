#!/bin/bash
# `MM_ARENA_SIZE=1M`: once the arena is full, small requests are forwarded, and still checked.
. "${0%/*}/../compare.sh"
need_little_memory

export MM_ARENA_SIZE=1M
run_in_small_arena() {
    "$PRELOAD_BLOCKS"
    "$PRELOAD_BLOCKS" keep
    bash "$inputs/work.bash" one two
    if command -v perl >/dev/null; then
        perl "$inputs/work.pl"
    fi
}
compare run_in_small_arena

LD_PRELOAD=$shim "$PRELOAD_BLOCKS" double-free >"$work/stdout" 2>"$work/stderr" ||
    fail "a double free of a forwarded block has ended the program with $?"
grep -q '^freed 131072$' "$work/stdout" || fail "the program printed $(cat "$work/stdout")"
expected='^==[0-9]+==ERROR: mmshim: double-free of 0x[0-9a-f]+ by free in thread '
if [ "$(grep -A 1 -E "$expected" "$work/stderr" | grep -c '^    a block of the system allocator, freed before$')" != 1 ] || [ "$(grep -c ERROR "$work/stderr")" != 1 ]; then
    cat "$work/stderr"
    fail "a double free of a forwarded small block was to be reported, once"
fi
echo "reported: a double free of a forwarded small block"
