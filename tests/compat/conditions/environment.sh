#!/bin/bash
# `LD_BIND_NOW`, `MALLOC_*`, `GLIBC_TUNABLES`: what else tunes loader and libc.
. "${0%/*}/../compare.sh"
. "${0%/*}/mixture.bash"

work() {
    LD_BIND_NOW=1 run_mixture
    MALLOC_ARENA_MAX=1 MALLOC_ARENA_TEST=1 run_mixture
    MALLOC_PERTURB_=165 MALLOC_CHECK_=3 run_mixture
    MALLOC_MMAP_THRESHOLD_=4096 MALLOC_TOP_PAD_=0 MALLOC_TRIM_THRESHOLD_=0 MALLOC_MMAP_MAX_=10 run_mixture
    GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mmap_threshold=8192:glibc.malloc.hugetlb=1 run_mixture
    GLIBC_TUNABLES=glibc.rtld.optional_static_tls=0 run_mixture
    LD_LIBRARY_PATH=/nowhere LD_DYNAMIC_WEAK=1 run_mixture
    env -i LD_PRELOAD="${LD_PRELOAD-}" PATH="$PATH" bash "$inputs/work.bash" one two
}
compare work
