#!/bin/bash
# gcc, g++: this project's C and a C++ program at -O2, and with link-time optimisation.
# packages: gcc g++
cc=gcc cxx=g++
. "${0%/*}/compiler.bash"
