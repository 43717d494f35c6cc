#!/usr/bin/env bash
# gdb.sh LAUNCHER PLANTED SHIM - under gdb the program, and it alone, has the shim; gdb stops at the finding.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
planted=$2 shim=$3
needs gdb
cd "$work"
unset HISTFILE XDG_CONFIG_HOME
export HOME=$PWD

# with_gdb ARGUMENT... - what gdb says to the commands on stdin.
with_gdb() {
    runs 0 "$mmshim" --symbolize=0 --gdb "$@"
}
# A path that a shell takes for more than one word.
mkdir "it's a folder"
cp "$planted" "it's a folder/planted"
printf '%s\n' 'run' 'bt' 'continue' | with_gdb "it's a folder/planted"
says stderr 'ERROR: mmshim: double-free of '
says stdout '^Breakpoint 1, .*mmshim_on_finding \(' '^#[0-9]+ +.*close_handle \(' 'exited with code 0143\]'
printf '%s\n' 'run' | with_gdb "$planted" 'not planted' "it's" ''
says stdout 'exited with code 03\]'
# gdb's own environment and its other children's.
# shellcheck disable=SC2016 # of the shell that gdb starts
printf '%s\n' 'shell echo "preload <$LD_PRELOAD> <$MM_DEBUG>"' 'run' |
    LD_PRELOAD="libm.so.6 $shim" with_gdb env
says stdout '^(\(gdb\) )*preload <libm.so.6> <>' "^LD_PRELOAD=$shim:${shim%.so}_bounds.so:libm.so.6\$" '^MM_DEBUG=1$' '^MM_SYMBOLIZE=0$'
# Where it is raised, SIGTRAP stops it, too.
printf '%s\n' 'delete' 'run' 'bt' 'continue' | runs 0 "$mmshim" --symbolize=0 --on-error=stop --gdb "$planted"
says stdout 'received signal SIGTRAP' '^#[0-9]+ +.*close_handle \(' 'exited with code 0143\]'
runs 133 "$mmshim" --symbolize=0 --on-error=stop "$planted"
says stderr '^SUMMARY: mmshim: double-free'

runs 125 "$mmshim" --gdb --tree=folder "$planted"
says stderr "don't go together"
runs 125 env PATH=/nowhere "$mmshim" --gdb "$planted"
says stderr 'needs gdb'
