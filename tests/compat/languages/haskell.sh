#!/bin/bash
# ghc: a program compiled and run, threads and foreign calls included.
# packages: ghc
. "${0%/*}/../compare.sh"
need ghc

work() {
    cp "$inputs/Work.hs" varying
    ghc -v0 -O -threaded -outputdir varying -o varying/work varying/Work.hs
    varying/work +RTS -N2
    status ghc -v0 -e 'sum (map read (words "1 2 3"))'
}
compare work
