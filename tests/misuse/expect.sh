#!/usr/bin/env bash
# Runs one program under the shim and compares what it writes to stderr, byte for byte, with a
# file, once what varies from run to run has been given its name:
#
#   expect.sh [--join] [--sed COMMAND]... EXPECTED STATUS [NAME=VALUE...] PROGRAM [ARGUMENT...]
#
# STATUS is the exit status to expect (134: killed by SIGABRT), NAME=VALUE an environment variable
# for the program. MISUSE_PRELOAD holds what is preloaded into it, and MISUSE_EMULATOR the command that
# runs it, when it is for another machine.
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
#
# Hundreds of tests run this, in several builds: it starts few processes.
set -eu

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
environment=(LD_PRELOAD="${MISUSE_PRELOAD-}")
while [[ $1 == *=* ]]; do
    environment+=("$1")
    shift
done
program=$(cd -P -- "${1%/*}" && pwd)/${1##*/}
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
(
    unset MISUSE_PRELOAD
    export "${environment[@]}"
    exec "${emulator[@]}" "$program" "$@"
) >"$work/stdout" 2>"$work/stderr" &
pid=$!
status=0
wait "$pid" 2>"$work/wait" || status=$?
[[ $status == "$expected_status" ]] || fail "exit status $status, not $expected_status"

mapfile -t told <"$work/stderr"
mapfile -t published <"$work/stdout"

quoted() {
    local text=${1//\\/\\\\} sign
    for sign in '[' ']' '.' '*' '^' '$' '/'; do
        text=${text//"$sign"/\\"$sign"}
    done
    printf '%s' "$text"
}

# What was published, as commands of sed's, and the address of the function that the case is.
case_address=
names=
for line in "PID=$pid" "${published[@]}"; do
    if [[ $line =~ ^([A-Z]*)=(0x[0-9a-f]+)$ ]]; then
        names+="s|\\<${BASH_REMATCH[2]}\\>|${BASH_REMATCH[1]}|g"$'\n'
        [[ ${BASH_REMATCH[1]} != CASE ]] || case_address=${BASH_REMATCH[2]}
    elif [[ $line =~ ^([A-Z]*)=([0-9]+)$ ]]; then
        names+="s|^==${BASH_REMATCH[2]}==|==${BASH_REMATCH[1]}==|
s|thread ${BASH_REMATCH[2]} (|thread ${BASH_REMATCH[1]} (|
s|a block of ${BASH_REMATCH[2]} bytes|a block of ${BASH_REMATCH[1]} bytes|
"
    fi
done

# What a report says of one thing in several ways must come to the same.
of_ptr='ERROR: mmshim: [a-z-]+ of (0x[0-9a-f]+)'
in_slot='^    (([0-9]+) bytes? into )?slot ([0-9]+) of ([0-9]+) bytes, batch (0x[0-9a-f]+)$'
beside='^    in no block, '
frame='^    #[0-9]+ (0x[0-9a-f]+) (in ([^ ]+)\+(0x[0-9a-f]+) )?\(.*\+(0x[0-9a-f]+)\)( \(BuildId: [0-9a-f]*\))?$'
for line in "${told[@]}"; do
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
done

comm=${emulator[0]:-$program}
comm=${comm##*/}
# The order matters: a pointer may equal the address of its batch.
naming="s/slot [0-9]* of \([0-9]* bytes\), batch 0x[0-9a-f]*/slot N of \1, batch BATCH/
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
$names"

# Above the program's own frames there are libc's, and then perhaps the program's _start.
above='/^    #[0-9]* .*(\(PROGRAM\|LIBRARY\)+OFF)$/!{
/^    #/{
s/.*/    .../
:above
$!N
s/\n    #.*//
t above
P
D
}
}'
sed -e 's/ (BuildId: [0-9a-f]*)$//' -e "$naming" "$work/stderr" | sed -e "$above" |
    if [[ -n $script ]]; then sed -e "$script"; else cat; fi >"$work/named"
if $join; then
    sed -n '/^==PID==ERROR/{:more;/\nSUMMARY[^\n]*$/!{N;b more};s/\n/|/g};p' "$work/named" |
        LC_ALL=C sort | uniq -c | sed 's/^ *//' >"$work/joined"
    mv "$work/joined" "$work/named"
fi

if [[ -n ${MISUSE_UPDATE-} ]]; then
    cp "$work/named" "$expected.$$" && mv "$expected.$$" "$expected" # others may write it, too
    exit
fi
mapfile wanted <"$expected"
mapfile named <"$work/named"
[[ ${wanted[*]} == "${named[*]}" ]] || {
    diff -u --label expected --label actual "$expected" "$work/named" || :
    fail "not what was expected"
}
