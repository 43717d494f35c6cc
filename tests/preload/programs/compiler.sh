#!/bin/bash
# gcc, g++ and their relatives at -O2. The objects must be the same, byte for byte.
#   compiler.sh C-COMPILER C++-COMPILER
. "$(dirname "$0")/compare.sh"
need "$1" "$2"
cc=$1
cxx=$2

# The sources may be edited while this runs.
cp -r "$PRELOAD_SOURCE/src" "$PRELOAD_SOURCE/include" "$work"

compile() {
    "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -I"$work/include" -c "$work/src/heap.c"
    "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -flto -pthread "$inputs/../blocks.c" -o blocks
    "$cxx" -std=c++17 -O2 -g -Wall -pthread "$inputs/containers.cpp" -o containers
    ./blocks
    ./containers
}
compare compile
