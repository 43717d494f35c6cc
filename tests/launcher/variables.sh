#!/usr/bin/env bash
# variables.sh LAUNCHER - of a pointer to the stack it is told which variable of which function is there, where
# debugging information says it; else whose frame; whatever the compiler made of it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
source=$(realpath -- "$(dirname -- "$0")/variables.c")
[ -x "$(dirname -- "$mmshim")/../mmshim-symbolize" ] || { echo 'skipped: needs mmshim-symbolize'; exit 77; }
cd "$work"

# expected - each variable that the source tells of, with its line.
expected() {
    awk -v file="$source" '
        match($0, /\/\* ([0-9]+ bytes inside )?variable .* bytes \*\//) {
            print substr($0, RSTART + 3, RLENGTH - 6) ", at " file ":" NR
        }' "$source" | sort
}

for flags in -O0 -O1 -O2 '-O0 -fomit-frame-pointer' '-O2 -fno-omit-frame-pointer'; do
    # shellcheck disable=SC2086 # several
    "${CC:-cc}" -w -g $flags "$source" -o program
    runs 99 "$mmshim" ./program
    sed -n 's/^    stack of this thread, //p' stderr >told
    diff <(expected) <(grep variable told | grep -v ' of aligned,' | sort) || fail "with $flags: $(cat told)"
    [ "$(wc -l <told)" -eq 7 ] || fail "with $flags: $(cat told)"
    grep -qx 'in the frame of of_any_size' told || fail "with $flags: $(cat told)"
    grep -Eq '(frame of aligned|variable lines of aligned, .*)$' told || fail "with $flags: $(cat told)"
done

# Without debugging information, the function; without names, the stack.
"${CC:-cc}" -w -O1 "$source" -o program
runs 99 "$mmshim" ./program
says stderr '^    stack of this thread, in the frame of deep$'
! grep -q variable stderr || fail "from nowhere: $(cat stderr)"
strip program
runs 99 "$mmshim" ./program
says stderr '^    stack of this thread$'

# As JSON has it.
"${CC:-cc}" -w -g "$source" -o program
runs 99 "$mmshim" --format=json ./program
says stderr '"description":"stack of this thread, variable own of deep, 8 bytes, at '"$source"':[0-9]+"'
