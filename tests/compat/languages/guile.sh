#!/bin/bash
# guile: hash tables, strings, big numbers, continuations, threads.
# packages: guile-3.0
# note: the collector's memory comes from the system directly (libgc); the shim serves the rest
. "${0%/*}/../compare.sh"
need guile

work() {
    guile --no-auto-compile -s "$inputs/work.scm"
}
compare work
