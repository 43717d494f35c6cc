#!/bin/bash
# `ulimit -d`: programs that fit into 150 MB of data still do, and one that doesn't fails the same way.
. "${0%/*}/../compare.sh"
need_little_memory
. "${0%/*}/mixture.bash"

work() {
    ulimit -d 150000
    run_mixture
    status perl -e '$text = "x" x 1_000_000_000; print "never\n"'
}
compare work
