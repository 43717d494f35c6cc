#!/bin/sh
# with_pkg_config.sh CC PREFIX WORK - builds and runs outside/'s programs against PREFIX by
# pkg-config.
set -eu
cc=$1 prefix=$2 work=$3
outside=$(dirname -- "$0")/outside

if ! command -v pkg-config >/dev/null; then
    echo "skipped: package.pkg-config (needs pkg-config)"
    exit 77
fi
file=$(find "$prefix" -name libmemory_manager.pc)
PKG_CONFIG_PATH=$(dirname -- "$file")
export PKG_CONFIG_PATH

mkdir -p -- "$work"
# shellcheck disable=SC2046 # a list of flags
"$cc" "$outside/library.c" -o "$work/library" $(pkg-config --cflags --libs libmemory_manager)
"$work/library"

# Without optimisation no compiler drops the program's frees.
"$cc" "$outside/program.c" -o "$work/program"
LD_PRELOAD=$(pkg-config --variable=shim libmemory_manager) "$work/program" 2>"$work/stderr"
cat -- "$work/stderr"
grep -q 'mmshim: double-free' "$work/stderr"
