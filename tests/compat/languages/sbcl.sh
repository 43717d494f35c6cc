#!/bin/bash
# sbcl: hash tables, strings, big numbers, compiled functions, foreign memory.
# packages: sbcl
. "${0%/*}/../compare.sh"
need sbcl

work() {
    sbcl --noinform --no-userinit --script "$inputs/work.lisp"
}
compare work
