# shellcheck shell=bash disable=SC2154
# Sourced by gcc.sh and clang.sh: $cc and $cxx at -O2. The objects must be the same, byte for byte.
. "${0%/*}/../compare.sh"
need "$cc" "$cxx"

# The sources may be edited while this runs.
cp -r "$PRELOAD_SOURCE/src" "$PRELOAD_SOURCE/include" "$work"

compile() {
    "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -I"$work/include" -I"$work/src" -c "$work/src/slots/heap.c"
    "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -flto -pthread "$inputs/../blocks.c" -o blocks
    "$cxx" -std=c++17 -O2 -g -Wall -pthread "$inputs/containers.cpp" -o containers
    ./blocks
    ./containers
}
compare compile
