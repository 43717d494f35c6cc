#!/bin/bash
# R: data frames, models, strings, closures, the collector.
# packages: r-base-core
. "${0%/*}/../compare.sh"
need R Rscript
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # sums in one order only

work() {
    Rscript --vanilla "$inputs/work.R"
}
compare work
