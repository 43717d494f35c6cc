#!/bin/bash
# tar, xz, gzip: packed with two threads, compared, unpacked.
# packages: xz-utils
. "${0%/*}/../compare.sh"
need tar xz gzip

# The sources may be edited while this runs.
mkdir "$work/tree"
cp -r "$PRELOAD_SOURCE/src" "$PRELOAD_SOURCE/include" "$PRELOAD_SOURCE/tests" "$work/tree"

pack_and_unpack() {
    cp -r "$work/tree" .
    seq 400000 >tree/numbers
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf tree.tar tree
    xz -k -T2 --block-size=512KiB -3 tree.tar
    xz -l tree.tar.xz
    tar -cJf direct.tar.xz --sort=name --mtime=@1700000000 tree/numbers
    gzip -kn9 tree.tar
    tar -tvf tree.tar.xz
    mkdir unpacked
    tar -C unpacked -xf tree.tar.xz
    diff -r tree unpacked/tree
    xz -dc tree.tar.xz | cmp - tree.tar
    gzip -dc tree.tar.gz | cmp - tree.tar
    printf 'not compressed' >broken.xz
    status xz -d broken.xz
}
compare pack_and_unpack
