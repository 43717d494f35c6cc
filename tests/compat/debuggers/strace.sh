#!/bin/bash
# strace: threads and a tree of processes.
# packages: strace
. "${0%/*}/../compare.sh"
need strace
strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"

run_in_strace() {
    strace -f -o varying/blocks "$PRELOAD_BLOCKS" keep
    strace -f -o varying/shell sh -c 'seq 1000 | sort -n | tail -n 1; exit 0'
    status strace -f -o varying/status sh -c 'exit 3'
}
compare run_in_strace
