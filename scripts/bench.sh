#!/usr/bin/env bash
# bench.sh [option...] - time and peak memory of libmmshim.so beside glibc's malloc, and beside mimalloc,
# jemalloc, tcmalloc and scudo where they are installed. Builds into ./build-bench, and leaves there
# bench.csv (every run), bench.md (the tables, also on stdout), bench.svg and bench.png.
#
#   --quick             an eighth of the work, 3 runs: under two minutes
#   --runs N            counted runs of each row under each allocator (5; quick: 3)
#   --rows REGEX        only rows whose name matches
#   --peer NAME=FILE    one more library to compare with, an older build of the shim, say
#   --install-peers     install the four with apt first
#   --clock wall|cpu    which time counts: cpu is steadier where the machine is not idle (wall)
#   --csv FILE          where the runs are written to
#   --table FILE        no runs: tables and picture of such a file
#   --instructions      no runs: instructions of a malloc and its free, counted by callgrind
#
# The allocators take turns in each row. A figure is the median of its runs, peak memory the kernel's
# ru_maxrss. A row that needs a program that isn't there is left out, and named.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

work=$root/build-bench
source=$root/tests/bench
bin=$work/tests/bench
csv=$work/bench.csv
log=$work/bench.log

quick=
runs=
wanted=.
clock=wall
mode=run

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' -- "$0"
}

peers=()
peer_library=()

add_peer() {
    [ -e "$2" ] || die "no such library: $2"
    peers+=("$1")
    peer_library+=("$2")
}

while [ $# -gt 0 ]; do
    option=$1
    case $option in
    --runs | --rows | --peer | --clock | --csv | --table)
        [ $# -gt 1 ] || die "$option needs a value"
        value=$2
        shift
        ;;
    esac
    shift
    case $option in
    --quick) quick=yes ;;
    --runs) runs=$value ;;
    --rows) wanted=$value ;;
    --peer) add_peer "${value%%=*}" "${value#*=}" ;;
    --install-peers) mode_install=yes ;;
    --clock) clock=$value ;;
    --csv) csv=$value ;;
    --table) mode=table csv=$value ;;
    --instructions) mode=instructions ;;
    -h | --help)
        usage
        exit
        ;;
    *) die "no such option: $option (see --help)" ;;
    esac
done
