#!/bin/sh
# with_cmake.sh CMAKE CC PREFIX WORK - builds and tests outside/ against PREFIX by find_package().
set -eu
cmake=$1 cc=$2 prefix=$3 work=$4
outside=$(dirname -- "$0")/outside

rm -rf -- "$work"
"$cmake" -S "$outside" -B "$work" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix"
"$cmake" --build "$work"
"$cmake" -E chdir "$work" ctest --output-on-failure --no-tests=error
