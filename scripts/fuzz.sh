#!/usr/bin/env bash
# fuzz.sh [--minutes N] [name...] - looks for inputs that break the core: each fuzzer of tests/fuzz, or
# those named, for N minutes (10 if not given), one after the other. Nightly work; CTest replays the
# corpora.
#
# What is found on the way is kept below ./build-fuzz, and built upon the next time. Ends with 1 when
# an input broke something; that is named, and best kept as a file of tests/fuzz/corpus/NAME.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

work=$root/build-fuzz
minutes=10
if [ "${1-}" = --minutes ]; then
    minutes=${2-}
    [[ $minutes =~ ^[1-9][0-9]*$ ]] || die "--minutes takes a whole number from 1 on, not: ${2-nothing}"
    shift 2
fi

all=()
for corpus in "$root"/tests/fuzz/corpus/*/; do
    all+=("$(basename -- "$corpus")")
done
for name; do
    [ -d "$root/tests/fuzz/corpus/$name" ] || die "no such fuzzer: $name (there are: ${all[*]})"
done
[ $# -gt 0 ] || set -- "${all[@]}"

need_build_tools
found clang || { can_install clang && apt_install clang; } || die "the fuzzer is clang's: can't go on without it"
CC=clang CXX=clang++ configured_build "$work" -DMM_SANITIZE=fuzzer-no-link,address,undefined \
    -- "${@/#/fuzz_}" || die "the build failed"

# run_fuzzer NAME - false when it found something.
run_fuzzer() {
    local name=$1 words=() status=0
    local kept=$work/found/$name
    mkdir -p -- "$kept/corpus"
    [ ! -e "$root/tests/fuzz/$name.dict" ] || words=("-dict=$root/tests/fuzz/$name.dict")
    "$work/tests/fuzz/fuzz_$name" "${words[@]}" -max_total_time=$((minutes * 60)) -max_len=2000 \
        -print_final_stats=1 -artifact_prefix="$kept/" "$kept/corpus" "$root/tests/fuzz/corpus/$name" \
        >"$kept/log" 2>&1 || status=$?
    if [ "$status" -eq 0 ]; then
        say "$name: nothing found in $(awk '/number_of_executed_units/ { print $2 }' "$kept/log") runs"
    else
        tail -n 40 -- "$kept/log" >&2
        say "$name: BROKEN, see $kept"
    fi
    return "$status"
}

failed=
for name; do
    say "$name: $minutes minutes"
    ASAN_OPTIONS=allocator_may_return_null=1 run_fuzzer "$name" || failed=yes
done
[ -z "$failed" ]
