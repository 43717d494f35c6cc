#!/usr/bin/env bash
# Runs one program under the shim and compares what it writes to stderr, byte for byte, with a
# file, once what varies from run to run has been given its name:
#
#   expect.sh [--join] [--sed COMMAND]... EXPECTED STATUS [NAME=VALUE...] PROGRAM [ARGUMENT...]
#
# STATUS is the exit status to expect (134: killed by SIGABRT), NAME=VALUE an environment variable
# for the program; MISUSE_EMULATOR holds the command that runs it, when it is for another machine. LD_PRELOAD is passed on to the program, and to nothing else that runs here.
#
#   PID PROGRAM COMM   the process, the program's path and the name of its main thread
#   NAME               a value that the program published on stdout as NAME=VALUE
#   LIBRARY LIBC       the path of a library of these tests, of libc
#   N BATCH            the number of a slot and the address of its batch; they must agree with
#                      the pointer that was freed
#   ADDR OFF           the numbers of a stack frame; those of a module must agree, and those of
#                      the function that was published as CASE. What lies beyond the program and
#                      the libraries of these tests stands as "    ..."
#
# Build-ids are left out: not every linker makes one.
#
# With MISUSE_UPDATE=1 in the environment (MISUSE_UPDATE=1 ctest -R ^misuse) the files are written
# instead of compared, when what is told has changed: for somebody to read in `git diff`.
#
# --join makes one line of each report, and counts lines that are equal, for output whose order
# varies. Each --sed is a command of sed's for what else varies in a single test.
set -eu

if [[ -n ${LD_PRELOAD-} ]]; then
    # Started anew, for this shell was given the shim as well.
    MISUSE_SHIM=$LD_PRELOAD exec env -u LD_PRELOAD "$BASH" "$0" "$@"
fi

join=false
script=
while :; do
    case $1 in
    --join)
        join=true
        shift
        ;;
    --sed)
        script+=$2$'\n'
        shift 2
        ;;
    *) break ;;
    esac
done
expected=$1
expected_status=$2
shift 2
environment=(-u MISUSE_SHIM LD_PRELOAD="${MISUSE_SHIM-}")
while [[ $1 == *=* ]]; do
    environment+=("$1")
    shift
done
program=$(realpath "$1")
shift
read -ra emulator <<<"${MISUSE_EMULATOR-}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    printf 'FAILED: %s\n' "$1"
    printf '%s\n' '--- what the program wrote to stderr' "$(head -n 100 "$work/stderr")" \
        '--- what it published' "$(head -n 100 "$work/stdout")"
    exit 1
}

ulimit -c 0
env "${environment[@]}" "${emulator[@]}" "$program" "$@" >"$work/stdout" 2>"$work/stderr" &
pid=$!
status=0
wait "$pid" 2>"$work/wait" || status=$?
[[ $status == "$expected_status" ]] || fail "exit status $status, not $expected_status"

sed -i 's/ (BuildId: [0-9a-f]*)$//' "$work/stderr"

# The address of the function that the case is.
case_address=$(sed -n 's/^CASE=//p' "$work/stdout" | tail -n 1)

# What a report says of one thing in several ways must come to the same.
of_ptr='ERROR: mmshim: [a-z-]+ of (0x[0-9a-f]+)'
in_slot='^    (([0-9]+) bytes? into )?slot ([0-9]+) of ([0-9]+) bytes, batch (0x[0-9a-f]+)$'
beside='^    in no block, '
frame='^    #[0-9]+ (0x[0-9a-f]+) (in ([^ ]+)\+(0x[0-9a-f]+) )?\(.*\+(0x[0-9a-f]+)\)$'
while IFS= read -r line; do
    if [[ $line =~ $of_ptr ]]; then
        ptr=${BASH_REMATCH[1]}
    elif [[ $line =~ $beside ]]; then
        ptr=
    elif [[ $line =~ $in_slot && -n $ptr ]]; then
        into=${BASH_REMATCH[2]:-0} slot=${BASH_REMATCH[3]}
        size=${BASH_REMATCH[4]} batch=${BASH_REMATCH[5]}
        ((ptr == batch + (slot - 1) * size + into)) || fail "no such place: $line"
    elif [[ $line =~ $frame ]]; then
        address=${BASH_REMATCH[1]} symbol=${BASH_REMATCH[3]} offset=${BASH_REMATCH[4]}
        module_offset=${BASH_REMATCH[5]}
        (((address - module_offset) % 4096 == 0)) || fail "no such place in a module: $line"
        if [[ -n $case_address && $symbol == "${1-}" ]]; then
            ((address - offset == case_address)) || fail "no such place in a function: $line"
        fi
    fi
done <"$work/stderr"

quoted() {
    printf '%s' "$1" | sed 's/[][\\.*^$/]/\\&/g'
}

comm=$(basename "${emulator[0]:-$program}")
# The order matters: a pointer may equal the address of its batch.
{
    cat <<END
s/slot [0-9]* of \([0-9]* bytes\), batch 0x[0-9a-f]*/slot N of \1, batch BATCH/
s/guarded slot [0-9]* of/guarded slot N of/
s/$(quoted "$program")/PROGRAM/g
s/[^ (]*\/libmisuse_library\.so/LIBRARY/g
s/[^ (]*\/libc\.so\.6/LIBC/g
/^    #/{
s/ 0x[0-9a-f]*/ ADDR/
s/+0x[0-9a-f]*/+OFF/g
}
/^SUMMARY/s/+0x[0-9a-f]*/+OFF/g
/^==[0-9]*== mmshim: again, /s/+0x[0-9a-f]*/+OFF/g
s/(${comm:0:15})/(COMM)/
END
    printf 'PID=%s\n' "$pid" | cat - "$work/stdout" | sed -n \
        -e 's/^\([A-Z]*\)=\(0x[0-9a-f]*\)$/s|\\<\2\\>|\1|g/p' \
        -e 's/^\([A-Z]*\)=\([0-9][0-9]*\)$/s|^==\2==|==\1==|; s|thread \2 (|thread \1 (|; s|a block of \2 bytes|a block of \1 bytes|/p'
} >"$work/names.sed"

# Above the program's own frames there are libc's, and then perhaps the program's _start.
cat >"$work/above.sed" <<'END'
/^    #[0-9]* .*(\(PROGRAM\|LIBRARY\)+OFF)$/!{
/^    #/{
s/.*/    .../
:above
$!N
s/\n    #.*//
t above
P
D
}
}
END
printf '%s' "$script" >"$work/script.sed"
sed -f "$work/names.sed" "$work/stderr" | sed -f "$work/above.sed" |
    sed -f "$work/script.sed" >"$work/named"

if $join; then
    sed -n '/^==PID==ERROR/{:more;/\nSUMMARY[^\n]*$/!{N;b more};s/\n/|/g};p' "$work/named" |
        LC_ALL=C sort | uniq -c | sed 's/^ *//' >"$work/joined"
    mv "$work/joined" "$work/named"
fi

if [[ -n ${MISUSE_UPDATE-} ]]; then
    cp "$work/named" "$expected.$$" && mv "$expected.$$" "$expected" # others may write it, too
    exit
fi
diff -u --label expected --label actual "$expected" "$work/named" || fail "not what was expected"
