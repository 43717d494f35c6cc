#!/usr/bin/env bash
# soak.sh [--minutes N] - a long run (10 minutes) of eight threads under the shim: server shapes, threads
# and children that come and go, random sizes. Builds into ./build, and leaves there soak.csv (a line a
# second), soak.svg and soak.png. Ends with 1 when memory or mappings still grow after the first three
# minutes, when a block is not what it was, or when the shim has anything to say.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

minutes=10
while [ $# -gt 0 ]; do
    case $1 in
    --minutes)
        minutes=${2-}
        shift
        ;;
    -h | --help)
        sed -n '2,5s/^# //p' -- "$0"
        exit
        ;;
    *) die "no such option: $1" ;;
    esac
    shift
done
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "not a number of minutes: $minutes"
seconds=$(awk -v minutes="$minutes" 'BEGIN { print minutes * 60 }')

need_build_tools
build_targets mmshim stress_soak

csv=$build/soak.csv
said=$build/soak.log
say "$seconds s; figures go to $csv"
status=0
LD_PRELOAD=$build/libmmshim.so MM_EXITCODE=99 "$build/tests/stress/stress_soak" "$seconds" \
    >"$csv" 2>"$said" </dev/null || status=$?
if [ "$status" -ne 0 ] || [ -s "$said" ]; then
    cat -- "$said" >&2
    say "failed with status $status"
    exit 1
fi

if found gnuplot; then
    gnuplot -e "data='$csv'; output='$build/soak'" "$root/tests/stress/soak.gnuplot"
else
    say "skipped: the picture (needs gnuplot)"
fi
awk -f "$root/tests/stress/soak.awk" "$csv"
