#!/bin/bash
# setarch, `ulimit -s`: address spaces laid out otherwise: not at random, from below, small and unlimited stacks.
. "${0%/*}/../compare.sh"
. "${0%/*}/mixture.bash"
machine=$(uname -m)
setarch "$machine" -R true 2>/dev/null || skip "personalities can't be set here"

work() {
    run_mixture setarch "$machine" -R
    run_mixture setarch "$machine" --addr-compat-layout
    run_mixture setarch "$machine" --read-implies-exec
    (ulimit -s 256; run_mixture)
    (ulimit -s unlimited; run_mixture)
    (ulimit -l 64; run_mixture)
    (ulimit -c 0 -f 20000 -t 60; run_mixture)
}
compare work
