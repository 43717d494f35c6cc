#!/usr/bin/env bash
# tree.sh LAUNCHER PLANTED SHIM - a tree of processes, its findings gathered and its end waited for.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
planted=$2
export planted
cd "$work"

# ---- the exit status: the program's, unless any process had findings ----

runs 17 "$mmshim" --tree=quiet sh -c 'echo out; echo err >&2; exit 17'
[ "$(cat stdout)" = out ] || fail "stdout: $(cat stdout)"
[ "$(cat stderr)" = err$'\n''mmshim: no findings' ] || fail "stderr: $(cat stderr)"
[ -z "$(ls quiet)" ] || fail "logs of nothing: $(ls quiet)"
runs 99 "$mmshim" --tree=a/b sh -c '"$planted"; "$planted" a; exit 0'
says stderr '^1\. double-free in drop \(.*planted\.c:6\)$' '^1 bug in 1 process$' '1 process with findings; .mmshim report /.*/a/b'
runs 7 "$mmshim" --exitcode=7 --tree=a/b sh -c '"$planted"; exit 0'
runs 5 "$mmshim" --exitcode=0 --tree=a/b sh -c '"$planted"; exit 5'
runs 134 "$mmshim" --tree=a/b --abort "$planted"
runs 0 "$mmshim" --tree=a/b --abort true
runs 99 env MM_MAX_REPORTS=0 "$mmshim" --tree=counted "$planted"
says stderr '^mmshim: 1 process with findings'
runs 0 "$mmshim" report a/b
says stdout '^1 bug in 4 processes$'
# stdin and arguments arrive; what is wrong is told before anything runs.
printf 'in' | runs 0 "$mmshim" --tree=quiet cat
[ "$(cat stdout)" = in ] || fail 'stdin did not arrive'
runs 127 "$mmshim" --tree=quiet no-such-program

# ---- who outlives the first is waited for ----

runs 99 "$mmshim" --tree=later sh -c '(sleep 0.5; "$planted") & exit 0'
runs 0 "$mmshim" --tree=later --wait=0 \
    sh -c 'sleep 7 & while [ "$(cat /proc/$!/comm)" != sleep ]; do sleep 0.01; done; echo $!'
says stderr '^mmshim: still running after 0 s .*sleep \([0-9]+\)'
kill "$(cat stdout)"
# In a session of its own, as daemons are.
runs 99 "$mmshim" --tree=later sh -c 'setsid sh -c "sleep 0.5; \"\$planted\"" >/dev/null 2>&1 </dev/null & exit 0'

# ---- signals go on, and come back ----

runs 143 "$mmshim" --tree=quiet sh -c 'kill -TERM $$'
runs 139 "$mmshim" --tree=quiet sh -c 'kill -SEGV $$'
says stderr '^mmshim: ended by signal 11 .*no findings'
runs 99 "$mmshim" --tree=a/b sh -c '"$planted"; kill -KILL $$'
"$mmshim" --tree=quiet sh -c 'trap "exit 9" TERM; echo $$; while :; do sleep 0.1; done' >pid 2>/dev/null &
started=$!
while [ ! -s pid ]; do sleep 0.05; done
kill -TERM "$started"
status=0
wait "$started" || status=$?
[ "$status" -eq 9 ] || fail "status $status after a signal"

# ---- several trees in one folder: each counts its own, and those of its parts ----

runs 99 "$mmshim" --tree=shared "$planted"
runs 0 "$mmshim" --tree=shared true
runs 99 "$mmshim" --tree=shared sh -c '"$0" --tree=shared "$planted"; exit 0' "$mmshim"
runs 99 "$mmshim" --tree=shared sh -c '"$0" --tree=shared --name=part "$planted"; exit 0' "$mmshim"
# By a name: the last run's are replaced, another test's, with a name that begins alike, are not.
for name in test/1 test/1.2 'a %p name' "$(printf 'x%.0s' {1..300})"; do
    runs 99 "$mmshim" --tree=named --name="$name" "$planted"
    runs 99 "$mmshim" --tree=named --name="$name" "$planted"
done
[ "$(ls named | wc -l)" -eq 4 ] || fail "logs: $(ls named)"
runs 0 "$mmshim" --tree=named --name=test/1 true
[ "$(ls named | wc -l)" -eq 3 ] || fail "logs: $(ls named)"
mkdir 'a %p folder'
runs 99 "$mmshim" --tree='a %p folder' "$planted"
runs 0 "$mmshim" report 'a %p folder'
says stdout '^1 bug in 1 process$'

# ---- in valgrind's place ----

ln -s "$mmshim" a-valgrind
runs 134 ./a-valgrind -q --tool=memcheck --leak-check=yes --log-file="$PWD/check/Memory.3.log" "$planted"
cp check/Memory.3.log stdout
says stdout '^==[0-9]+== Invalid free\(\) / delete / delete\[\]$' '^==[0-9]+==     drop .*planted\.c:6$'
runs 3 ./a-valgrind -q --log-file="$PWD/check/Memory.3.log" "$planted" without
[ -e check/Memory.3.log ] && [ ! -s check/Memory.3.log ] || fail 'a log of nothing'
[ -z "$(ls check/mmshim)" ] || fail 'an earlier log is left'
runs 125 ./a-valgrind -q "$planted"
says stderr 'needs --log-file=PATH'

# ---- the command line ----

for bad in --tree= --wait= --wait=x --wait=-1 --wait=99999999999999999999 --name=; do
    runs 125 "$mmshim" "$bad" true
done
for alone in --wait=3 --name=x --abort; do
    runs 125 "$mmshim" "$alone" true
    says stderr "^mmshim: $alone: only with --tree=DIR\$"
done
runs 125 "$mmshim" --tree=quiet --log=x true
says stderr '--tree has logs of its own'
: >file
runs 125 "$mmshim" --tree=file true
says stderr 'Not a directory'
