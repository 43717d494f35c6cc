#!/bin/bash
# gdb: stops a program, looks around, and calls functions in it.
# packages: gdb
. "${0%/*}/../compare.sh"
need gdb

gdb=(gdb -q -nx -batch -iex 'set debuginfod enabled off')
"${gdb[@]}" -ex run true 2>&1 | grep -q 'exited normally' || skip "gdb may not run programs here"

# Threads come and go in any order, and gdb says so whenever it likes.
normalise() {
    sed -E '/^\[(New Thread|Thread|Switching)|^$/d; s/0x[0-9a-f]+/ADDRESS/g; s/(process|LWP) [0-9]+/\1 N/g'
}

run_in_gdb() {
    "${gdb[@]}" -ex 'break report_sum' -ex run -ex backtrace \
        -ex 'print sum' \
        -ex 'set $block = ((void *(*)(unsigned long)) malloc)(24)' \
        -ex 'print $block != 0' \
        -ex 'print ((unsigned long (*)(void *)) malloc_usable_size)($block) >= 24' \
        -ex 'call ((void (*)(void *)) free)($block)' \
        -ex 'python print(len(gdb.selected_inferior().threads()))' \
        -ex continue --args "$PRELOAD_BLOCKS" keep
    "${gdb[@]}" -ex run --args bash -c 'echo $((6 * 7)); exit 3'
}
compare run_in_gdb
