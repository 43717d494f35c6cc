#!/bin/bash
# valgrind: a program with the shim inside. Memcheck by default replaces every malloc it sees, the
# shim's too; told not to, or as another tool, it lets the shim do the work.
# packages: valgrind
. "${0%/*}/../compare.sh"
need valgrind

run_in_valgrind() {
    valgrind -q --error-exitcode=9 "$PRELOAD_BLOCKS"
    valgrind -q --error-exitcode=9 --soname-synonyms=somalloc=nouserintercepts "$PRELOAD_BLOCKS"
    valgrind -q --tool=none "$PRELOAD_BLOCKS" keep
    valgrind -q --tool=none --trace-children=yes sh -c 'seq 100 | sort | tail -n 1'
}
compare run_in_valgrind
