#!/bin/bash
# guile: hash tables, strings, big numbers, continuations, threads.
# packages: guile-3.0
. "${0%/*}/../compare.sh"
need guile

work() {
    guile --no-auto-compile -s "$inputs/work.scm"
}
compare work
