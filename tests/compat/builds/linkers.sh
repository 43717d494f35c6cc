#!/bin/bash
# ld, gold, lld, as, ar, strip, objdump: the same program by each linker, which must be the same, byte for byte.
# packages: gcc binutils lld
. "${0%/*}/../compare.sh"
need ld ld.gold ld.lld as ar nm strip objdump readelf objcopy

# The sources may be edited while this runs.
cp -r "$PRELOAD_SOURCE/src" "$PRELOAD_SOURCE/include" "$work"

work() {
    cp -r "$work/src" "$work/include" .
    gcc -D_GNU_SOURCE -DMM_SYMBOLIZE_FOLDER='"/usr/libexec"' -std=gnu11 -O1 -g -fPIC -Iinclude -Isrc -c src/[!l]*/*.c
    ar rcsD libcore.a ./*.o
    nm -S libcore.a | cksum
    local linker
    for linker in bfd gold lld; do
        gcc -fuse-ld="$linker" -shared -Wl,--gc-sections -o "$linker.so" -Wl,--whole-archive libcore.a -Wl,--no-whole-archive
        gcc -fuse-ld="$linker" -pthread -O1 "$inputs/../blocks.c" -o "$linker.program"
        "./$linker.program" | head -n 3
        objdump -d -S "$linker.so" | cksum
        readelf -aW "$linker.so" | cksum
        strip "$linker.so"
        objcopy --only-keep-debug "$linker.program" "$linker.debug"
        status gcc -fuse-ld="$linker" -o none heap.o 2>varying/"$linker"
    done
    addr2line -f -e bfd.program 0x1200 | head -n 1
    strings -n 12 bfd.so | sort | tail -n 2
    rm -r src include
}
compare work
