#!/usr/bin/env bash
# run.sh [program [argument...]] - runs a program under libmmshim.so, building that first.
# Arguments, stdin, stdout and exit status are the program's. Without a program: two demos.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
may_ask=yes

case ${1-} in
-h | --help)
    sed -n '2,3s/^# //p' -- "$0"
    exit
    ;;
--) shift ;;
esac

need_build_tools
want_libraries
build_targets mmshim mmshim_bounds demo launcher

shim=$build/libmmshim.so
case $shim in
*[:\ ]*) die "LD_PRELOAD can't hold a path with a space or a colon: $shim" ;;
esac
preload=$shim${LD_PRELOAD:+:$LD_PRELOAD}

if [ $# -gt 0 ]; then
    LD_PRELOAD=$preload exec "$@"
fi

title() {
    printf '\n==== %s\n' "$*"
}

title "build/demo: the library by itself, in a program that runs under the shim"
LD_PRELOAD=$preload "$build/demo"
title "MM_BATCH_SLOTS=8 MM_SNAPSHOT=1 build/demo malloc: plain malloc and free under the shim"
MM_BATCH_SLOTS=8 MM_SNAPSHOT=1 LD_PRELOAD=$preload "$build/demo" malloc
