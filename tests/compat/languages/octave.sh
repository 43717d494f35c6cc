#!/bin/bash
# octave: matrices, eigenvalues, FFT, sparse matrices, cells, strings.
# packages: octave
. "${0%/*}/../compare.sh"
need octave-cli
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # sums in one order only

work() {
    octave-cli --norc --no-history "$inputs/work.m"
}
compare work
