#!/usr/bin/env bash
# compat.sh [--install] [--debug] [--only REGEX] [--list | --table] - runs programs of Debian's,
# each at real work, without the shim and with it in the whole process tree: output, files and exit
# status must be the same, and the shim silent. The cases are in tests/compat, which compare.sh
# there explains.
#
#   --install      first installs, with apt, what the cases need
#   --debug        all checks are on, MM_DEBUG=1
#   --only REGEX   only cases whose folder/name matches
#   --list         names them, and what they do; runs nothing
#   --table        the table of the README, from the last run of each case; runs nothing
#
# Ends with 1 when something differed. The output of each case stays in build/compat, or
# build/compat-debug.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

cases_dir=$root/tests/compat
results=$build/compat
readonly skip=77
# Seconds: for each of the two runs of a case, and for all of the case.
readonly run_limit=300 case_limit=900

# field CASE NAME - what a comment of this name says at the head of a case.
field() {
    sed -n "/^#/!q; s/^# $2: //p" "$cases_dir/$1.sh"
}

# The second line and, up to the first field or code, its continuation: "NAMES: what they do".
summary() {
    sed -n '1d; /^# \(packages\|note\): \|^[^#]\|^$/q; s/^# //p' "$cases_dir/$1.sh" | tr '\n' ' ' | sed 's/ $//'
}

programs() {
    summary "$1" | sed 's/: .*//'
}

install_packages() {
    local name package wanted=()
    for name; do
        for package in $(field "$name" packages); do
            dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' ||
                wanted+=("$package")
        done
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    can_install "${wanted[@]}" || die "can't install what is missing"
    without_services install_what_there_is "${wanted[@]}"
}

# outcome LOG STATUS - "same", "skipped" or "differs", and the case's own words.
outcome() {
    case $2 in
    0) printf 'same\t%s\n' "$(sed -n 's/^the same without and with the shim: [^ ]* (\(.*\))$/\1/p' "$1" | tail -n 1)" ;;
    "$skip") printf 'skipped\t%s\n' "$(sed -n 's/^skipped: [^ ]* (\(.*\))$/\1/p' "$1")" ;;
    *) printf 'differs\t%s\n' "$(sed -n 's/^FAILED: [^:]*: //p' "$1" | head -n 1)" ;;
    esac
}

# run_case NAME - leaves its output in NAME.log, its outcome in NAME.result.
run_case() {
    local log=$results/$1.log status=0
    mkdir -p -- "$(dirname -- "$log")"
    PRELOAD_SHIM=$build/libmmshim.so PRELOAD_SOURCE=$root PRELOAD_OPTIONS=$options \
        PRELOAD_BLOCKS=$build/tests/compat/preload_blocks PRELOAD_TIME_LIMIT=$run_limit \
        timeout -k 10 "$case_limit" bash "$cases_dir/$1.sh" >"$log" 2>&1 </dev/null || status=$?
    outcome "$log" "$status" >"$results/$1.result"
}

run_cases() {
    local name result said number=0 total=$#
    declare -A count=([same]=0 [differs]=0 [skipped]=0)
    for name; do
        number=$((number + 1))
        printf '[%*d/%d] %-30s ' ${#total} "$number" "$total" "$name"
        run_case "$name"
        IFS=$'\t' read -r result said <"$results/$name.result"
        printf '%s (%s)\n' "$result" "$said"
        [ "$result" != differs ] || sed 's/^/    /' "$results/$name.log"
        count[$result]=$((count[$result] + 1))
    done
    printf '%d the same, %d differ, %d skipped\n' "${count[same]}" "${count[differs]}" "${count[skipped]}"
    [ "${count[differs]}" -eq 0 ]
}

# A row for each folder, one for each case with something to say, and none for what has not been run.
table() {
    local name
    printf '| | programs | with the shim |\n| --- | --- | --- |\n'
    for name; do
        [ ! -e "$results/$name.result" ] ||
            printf '%s\t%s\t%s\t%s\n' "${name%%/*}" "$(programs "$name")" "$(field "$name" note)" \
                "$(cat -- "$results/$name.result")"
    done | awk -F '\t' '
        function flush() {
            if (same != "")
                print "| " group " | " same " | the same |"
            printf "%s", rows
            same = rows = ""
        }
        $1 != group { flush(); group = $1 }
        $4 == "same" && $3 == "" { same = same (same == "" ? "" : ", ") $2; next }
        {
            said = $4 == "same" ? "the same" : $4 == "differs" ? "**differs**: " $5 : "not run: " $5
            rows = rows "| " group " | " $2 " | " said ($3 == "" ? "" : "; " $3) " |\n"
        }
        END { flush() }'
}

install=
options=
only=
action=run_cases
while [ $# -gt 0 ]; do
    case $1 in
    --install) install=yes ;;
    --debug)
        options=MM_DEBUG=1
        results=$build/compat-debug
        ;;
    --only)
        [ $# -gt 1 ] || die "--only takes a regular expression"
        only=$2
        shift
        ;;
    --list) action=list ;;
    --table) action=table ;;
    -h | --help)
        sed -n '2,/^set/s/^#\( \|$\)//p' -- "$0"
        exit
        ;;
    *) die "no such option: $1 (--help shows them)" ;;
    esac
    shift
done

mapfile -t cases < <(cd -- "$cases_dir" && printf '%s\n' */*.sh | sed 's/\.sh$//' | grep -E -- "$only")
[ ${#cases[@]} -gt 0 ] || die "no case matches: $only"

case $action in
list)
    for name in "${cases[@]}"; do
        printf '%-30s %s\n' "$name" "$(summary "$name")"
    done
    ;;
table) table "${cases[@]}" ;;
run_cases)
    need_build_tools
    [ -z "$install" ] || install_packages "${cases[@]}"
    build_targets mmshim preload_blocks
    run_cases "${cases[@]}"
    ;;
esac
