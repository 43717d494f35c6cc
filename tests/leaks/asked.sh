#!/usr/bin/env bash
# asked.sh PROGRAM MMSHIM TITLED - a process that runs tells its leaks, and what grows in it, to who asks by
# `mmshim leaks`; who can't be asked, or does not answer, is named.
set -euo pipefail
program=$1 mmshim=$2 titled=$3
work=$(mktemp -d)
process=
daemon=
trap 'stop; [ -z "$daemon" ] || kill "$daemon"; rm -rf -- "$work"' EXIT
unset MM_LEAKS MM_LEAKS_SIGNAL
others=$(compgen -G '/tmp/mmshim-leaks.*' || :)

fail() {
    printf 'FAILED: %s\n' "$*"
    head -n 20 "$work"/{told,err}
    exit 1
}

# start NAME=VALUE... - the program, with the arguments `with`, in front of stdin 3 and stdout 4.
with=()
start() {
    rm -f "$work"/{in,out}
    mkfifo "$work"/{in,out}
    env "$@" "$mmshim" --symbolize=0 "$program" "${with[@]}" <"$work/in" >"$work/out" 2>"$work/err" &
    process=$!
    exec 3>"$work/in" 4<"$work/out"
    lose 0
}

stop() {
    [ -n "$process" ] || return 0
    exec 3>&- 4<&-
    status=0
    wait "$process" || status=$?
    process=
}

# lose COUNT - has the program lose so many blocks.
lose() {
    echo "$1" >&3
    read -r -t 30 answer <&4 && [ "$answer" = done ] || fail "the program stands still"
    # Until it waits for the next line, registers and stack may hold the last block.
    until [ "$(sed 's/.*) //; s/ .*//' "/proc/$process/stat")" = S ]; do
        sleep 0.01
    done
}

# told PATTERN WHAT... - asks for what, and finds the pattern in the answer.
told() {
    local pattern=$1
    shift
    asked=0
    "$mmshim" leaks "$@" >"$work/told" 2>&1 || asked=$?
    grep -q -e "$pattern" "$work/told" || fail "no '$pattern'"
}

start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
told 'mmshim: leaks: none$' $process
lose 3
since=', since less than [0-9.]* s$'
for _ in 1 2 3; do
    told 'mmshim: leaks: 300 bytes in 3 blocks direct$' $process
    grep -q "300 bytes in 3 blocks that nothing points to$since" "$work/told" || fail "not told again"
    since=', as [0-9.]* s ago already$'
    grep -q '^SUMMARY: mmshim: leak of blocks allocated .*planted_common.c:[0-9]* in take$' "$work/told" || fail "no line"
done
[ ! -s "$work/err" ] || fail "something is told elsewhere"
# Who asks goes before the answer has come: the process goes on.
"$mmshim" leaks $process | head -c 10 >"$work/told" || true
kill -12 $process
lose 1
told 'leaks: 400 bytes' $process
grep -q '400 bytes in 4 blocks that nothing points to, 1 block of them since less than [0-9.]* s$' "$work/told" || fail "not said since when"
grep -q 'leaks: [34]00 bytes' "$work/err" || fail "a plain signal is not obeyed"
kill -0 $process || fail "it is gone"
# A number that belongs to no pipe.
if command -v python3 >/dev/null; then
    python3 -c "import ctypes, sys
ctypes.CDLL(None).sigqueue(int(sys.argv[1]), 12, ctypes.c_void_p(77777))" $process
    lose 0
fi
for pipe in /tmp/mmshim-leaks.*; do
    [ ! -e "$pipe" ] || [ ! -O "$pipe" ] || [[ $others == *"$pipe"* ]] || pgrep -f 'mmshim leaks' >/dev/null ||
        fail "$pipe is left"
done
stop
[ "$status" = 99 ] || fail "status $status" # of what the plain signal told

# Many who ask at once are answered one by one.
start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
lose 3
askers=()
for asker in 1 2 3 4 5 6 7 8; do
    "$mmshim" leaks $process >"$work/told.$asker" 2>&1 &
    askers+=($!)
done
wait "${askers[@]}"
for asker in 1 2 3 4 5 6 7 8; do
    grep -q 'mmshim: leaks: 300 bytes in 3 blocks direct$' "$work/told.$asker" || { cat "$work/told.$asker"; fail "asker $asker"; }
done
stop

# A large one is marked as it goes on.
start MM_LEAKS=1 MM_LEAKS_SIGNAL=12 OBEYS_LARGE=160
for sum in '300 bytes in 3' '600 bytes in 6' '900 bytes in 9'; do
    lose 3
    told "mmshim: leaks: $sum blocks direct\$" $process
done
kill -12 $process
lose 0
grep -q 'leaks: 900 bytes in 9 blocks direct$' "$work/err" || fail "a plain signal is not obeyed"
stop
[ "$status" = 99 ] || fail "status $status"

start MM_LEAKS=growth MM_LEAKS_SIGNAL=12
lose 2
told 'growth: .* are live; the next look tells what grew$' $process
lose 7
told '700 bytes more than [0-9.]* s ago, [0-9]* a second' $process
grep -q '900 bytes in 9 blocks, 700 bytes more' "$work/told" || fail "not of one stack"
told 'are live, 0 bytes more than' $process
! grep -q ERROR "$work/told" || fail "told without growth"
stop
[ "$status" = 0 ] || fail "status $status"
[ ! -s "$work/err" ] || fail "something is told elsewhere"

# Who writes its title over its environment can be asked, and who has it from its parent.
daemon=$(MM_LEAKS=1 MM_LEAKS_SIGNAL=12 MM_LOG=$work/err "$mmshim" "$titled" 600 2>/dev/null)
told 'mmshim: leaks: none$' "$daemon"
! grep -q MM_LEAKS "/proc/$daemon/environ" || fail "its environment is there"
kill "$daemon"
daemon=

for looks in 'MM_LEAKS=0' 'MM_LEAKS=0 MM_DANGLING=0'; do
    # shellcheck disable=SC2086
    start $looks MM_LEAKS_SIGNAL=12
    told "process $process can't be asked" $process
    stop
done
start MM_LEAKS=0 MM_DANGLING=1 MM_DEBUG=1 MM_LEAKS_SIGNAL=12
told 'mmshim: dangling pointers: none$' $process
stop
start MM_LEAKS=1 OBEYS_OFF=1 MM_LEAKS_SIGNAL=12
told 'leaks are not looked for: the program does not want it$' $process
stop
start MM_LEAKS=1
told "process $process can't be asked: start it by mmshim --leaks=1 --leaks-signal=" $process
stop
env -i MM_LEAKS=1 MM_LEAKS_SIGNAL=12 sleep 60 &
plain=$!
sleep 0.2
told "process $plain: the shim is not active there" $plain
kill $plain
told 'process 999999999: there is none' 999999999
told "leaks takes a process's number"
for number in 12x "" 0 99999999999999999999 4294967297; do
    told "leaks takes a process's number" "$number"
done
told "leaks takes a process's number" 1 2
told 'leaks: --what: not known; --wait=SECONDS is, of 1 to 86400' --what 1
told 'leaks: --wait=0: not known; --wait=SECONDS is, of 1 to 86400' --wait=0 1

start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
kill -STOP $process
told "process $process did not answer within 1 s" --wait=1 $process
kill -CONT $process
lose 0
told 'mmshim: leaks: none$' $process
stop

# Who asks is ended while it waits: the pipe is gone, and the process goes on.
start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
kill -STOP $process
"$mmshim" leaks $process >"$work/told" 2>&1 &
asker=$!
until pipe=$(readlink "/proc/$asker/fd/"* | grep -m 1 mmshim-leaks); do
    sleep 0.01
done
kill -TERM $asker
status=0
wait $asker || status=$?
[ "$status" = 143 ] || fail "status $status of who asked"
[ ! -e "$pipe" ] || fail "$pipe is left"
kill -CONT $process
lose 0
stop

# The answer is anybody's text: what a terminal would obey is none of it.
with=($'some \033[31mtext\177\ttab')
start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
told $'some ?\\[31mtext?\ttab' $process
[ "$asked" = 125 ] || fail "status $asked of who asked"
grep -q "the answer of process $process is not complete" "$work/told" || fail "taken as complete"
stop
with=("")
start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
told "process $process did not answer" --wait=1 $process
stop
with=($'\006')
start MM_LEAKS=1 MM_LEAKS_SIGNAL=12
told "process $process answers somebody else (--wait)" --wait=1 $process
stop
with=()

# Handlers for the signal that are none of ours, and signals that are none.
env -i MM_LEAKS=1 MM_LEAKS_SIGNAL=12 bash -c 'trap : USR2; echo; read -r line' <>"$work/in" >"$work/out" &
plain=$!
read -r _ <"$work/out"
told "process $plain: the shim is not active there" $plain
kill $plain
for number in 0 65; do
    start MM_LEAKS=1 MM_LEAKS_SIGNAL=$number
    told "process $process \(can't be asked\|has no handler for signal $number\)" $process
    if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        setpriv --reuid=65534 --clear-groups "$mmshim" leaks $process >"$work/told" 2>&1 &&
            fail "anybody may ask"
        grep -q "process $process: Permission denied" "$work/told" || fail "no reason"
    fi
    stop
done
