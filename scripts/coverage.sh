#!/usr/bin/env bash
# coverage.sh [-B DIR] - how much of src/ and preload/ the tests reach: lines and branches of each
# file, what is missing, and the sums. Ends with 1 when less than 95 % of the lines or 85 % of the
# branches are reached, with 77 where gcc or gcovr are missing.
#
# Builds in DIR, ./build-coverage if not given: not optimised, so reports have more frames than tests
# of their text expect. Whether those pass is for the other builds to say; here they need only run.
#
# What never counts: what ends a process at once (report.c, os.c), and the step back where there is
# no C++ library (operators.c).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

least_lines=95
least_branches=85
work=$root/build-coverage
if [ "${1-}" = -B ]; then
    work=$2
    shift 2
fi
[ $# -eq 0 ] || die "usage: coverage.sh [-B DIR]"

need_build_tools
for tool in gcc gcov gcovr; do
    found $tool || { echo "skipped: coverage (needs $tool)"; exit 77; }
done

CC=gcc CXX=g++ configured_build "$work" -DMM_COVERAGE=ON -- all || die "the build failed"
find "$work" -name '*.gcda' -delete
# Left out: what runs other people's programs or none of ours, and what only repeats: without all of these some
# fourteen branches are not reached, and it takes a third less. Of twice as many at a time as there are
# processors, half may sleep.
# Those with a guarded slot for each request do little else than ask the system to close pages, most of them
# in children of a fork(), and each for 10 to 50 s where counts are atomic; process.odds reaches the same.
repeats='(fork|threads|bad_moments|errors|promises)\.guarded|late_heaps|given_back|misuse\.clean|content\.|odds\.(first|among|of_)'
repeats+='|damages\.(beside|neighbours|second_frees|freed)|bounds_each\.pages|pages_of|\.stacks_1000|\.interposer_'
repeats+='|report\.(identical|slow_reader|hanging_tool|logs_|again|so_far)|fork\.(handler|stacks_|stream|early)'
repeats+='|threads\.stacks_|\.(twin|cpp|sampled|stacks_1)$|by_name_|process\.(shrink|spawn|alignment|mappings|beside_loads)|unit\.attack'
(cd -- "$work" && ctest -j $((2 * $(nproc))) -LE 'programs|stress|bench|instructions|model' \
    -E "package|launcher\.(readme|installed)|$repeats" \
    </dev/null) >"$work/test.log" 2>&1 || true

# The core and the shim. Of a call that a fork() or a jump left by another way gcov may print a count below
# zero, which gcovr would stop at.
cd -- "$root"
status=0
gcovr --gcov-ignore-parse-errors --root "$root" --object-directory "$work" --filter 'src/.*[.][ch]$' --filter preload/ \
    --json "$work/counts.json" -- "$work"
# table OPTION... - of what was counted
table() {
    gcovr --root "$root" --add-tracefile "$work/counts.json" "$@"
}
table --txt | sed '/^GCC\|^ *GCC\|^Directory/d'
table --txt --branches | sed '1,/^File/d'
# Into a file: gcovr removes what it is to write to before it writes, be it /dev/null.
table --output "$work/table" --print-summary --fail-under-line $least_lines --fail-under-branch $least_branches \
    >"$work/sums" || status=1
awk -F '[ :%]+' '
    /^lines/ { lines = $2 }
    /^branches/ { branches = $2 }
    END { printf "coverage: %s %% of the lines, %s %% of the branches\n", lines, branches }
' "$work/sums"
exit $status
