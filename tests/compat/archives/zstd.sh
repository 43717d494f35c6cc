#!/bin/bash
# zstd, bzip2, lz4, gzip, xz: several levels, threads, a dictionary, long distances, broken input.
# packages: zstd bzip2 xz-utils lz4
. "${0%/*}/../compare.sh"
need zstd bzip2 gzip xz lz4

work() {
    seq 400000 >numbers
    zstd -q -T2 -3 numbers -o fast.zst
    zstd -q -19 --long=24 -T2 numbers -o small.zst
    zstd -q -15 numbers -o smallest.zst
    zstd -l small.zst
    split -l 2000 -d -a 3 numbers part.
    zstd -q --train part.* -o dictionary --maxdict=20000
    zstd -q -D dictionary part.000 -o part.zst
    zstd -q -dc -D dictionary part.zst | cmp - part.000
    bzip2 -k9 numbers
    lz4 -q -9 numbers numbers.lz4
    gzip -nk1 numbers
    xz -k -6 -T2 numbers
    local packed
    for packed in fast.zst small.zst smallest.zst; do zstd -dc "$packed" | cmp - numbers; done
    bzip2 -dc numbers.bz2 | cmp - numbers
    lz4 -dc numbers.lz4 | cmp - numbers
    xz -dc numbers.xz | cmp - numbers
    head -c 5000 numbers.bz2 >broken.bz2
    status bzip2 -t broken.bz2
    status zstd -q -t numbers
    rm part.*
}
compare work
