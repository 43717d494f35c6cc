#!/bin/bash
# racket: hash tables, strings, places, futures, a compiled module.
# packages: racket
. "${0%/*}/../compare.sh"
need racket raco

work() {
    cp "$inputs/work.rkt" varying
    raco make varying/work.rkt
    racket varying/work.rkt
}
compare work
