#!/bin/bash
# gfortran: a program compiled at -O2 and run: allocatable arrays, derived types, strings, OpenMP.
# packages: gfortran
. "${0%/*}/../compare.sh"
need gfortran
export OMP_NUM_THREADS=2

work() {
    gfortran -O2 -fopenmp -J varying -o varying/work "$inputs/work.f90"
    varying/work
}
compare work
