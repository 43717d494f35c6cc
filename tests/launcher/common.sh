# shellcheck shell=bash
# What the tests of this folder share. Sourced with the path of the launcher, absolute, as first argument.

# shellcheck disable=SC2034 # used by the tests
mmshim=$1
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
# Debugging information is to come from this machine.
unset LD_PRELOAD DEBUGINFOD_URLS "${!MM_@}"

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

# needs PROGRAM... - skips the test where one is missing.
needs() {
    local program
    for program; do
        type -P "$program" >/dev/null || { printf 'skipped: needs %s\n' "$program"; exit 77; }
    done
}

# runs STATUS COMMAND... - its output in $work/stdout and $work/stderr.
runs() {
    local expected=$1 status=0
    shift
    "$@" >"$work/stdout" 2>"$work/stderr" || status=$?
    [ "$status" -eq "$expected" ] || fail "status $status, not $expected, of: $* ($(cat "$work/stderr"))"
}

# says stdout|stderr PATTERN... - is there a line for each extended regular expression?
says() {
    local pattern file=$work/$1
    shift
    for pattern; do
        grep -Eq -- "$pattern" "$file" || fail "no line like '$pattern' in: $(cat "$file")"
    done
}

# silent stdout|stderr
silent() {
    [ ! -s "$work/$1" ] || fail "unexpected on $1: $(cat "$work/$1")"
}

# without_shim FILE - a report without the frames of the shim, which are there where it is built without optimisation.
without_shim() {
    awk '
        /^    #0 / { dropped = 0 }
        /^    #.*libmmshim\.so\+/ { dropped++; next }
        match($0, /^    #[0-9]+/) {
            place = substr($0, RLENGTH + 1)
            $0 = "    #" substr($0, 6, RLENGTH - 5) - dropped place
            if (kept == "" && match(place, /( in [^ ]*)? \(.*\+0x[0-9a-f]+\)/))
                kept = substr(place, RSTART, RLENGTH)
        }
        /^SUMMARY: / && /libmmshim\.so\+/ { sub(/-free .*/, "-free" kept) }
        { print }' "$1"
}
