#!/bin/bash
# clang, clang++: the same.
# packages: clang
cc=clang cxx=clang++
. "${0%/*}/compiler.bash"
