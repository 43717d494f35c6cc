#!/bin/bash
# `ulimit -v`: programs that fit into 500 MB still do, and one that doesn't fails the same way.
. "${0%/*}/../compare.sh"
need_little_memory

run_in_little_space() {
    ulimit -v 500000
    "$PRELOAD_BLOCKS"
    "$PRELOAD_BLOCKS" keep
    bash "$inputs/work.bash" one two
    if command -v perl >/dev/null; then
        perl "$inputs/work.pl"
        status perl -e '$text = "x" x 1_000_000_000; print "never\n"'
    fi
    if command -v sqlite3 >/dev/null; then
        sqlite3 -batch -bail :memory: <"$inputs/work.sql"
    fi
    if command -v jq >/dev/null; then
        jq -n '[range(100000)] | map({n: .}) | length'
    fi
}
compare run_in_little_space
