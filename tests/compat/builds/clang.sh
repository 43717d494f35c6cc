#!/bin/bash
# clang, clang++: the same work as gcc's.
# packages: clang
cc=clang cxx=clang++
. "${0%/*}/compiler.bash"
