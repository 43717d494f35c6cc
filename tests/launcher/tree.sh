#!/usr/bin/env bash
# tree.sh LAUNCHER PLANTED SHIM TITLED - a tree of processes, its findings gathered and its end waited for.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
planted=$2
export planted
cd "$work"

sh=$(basename -- "$(realpath -- "$(type -P sh)")")

# ---- the exit status: the program's, unless any process had findings ----

runs 17 "$mmshim" --tree=quiet sh -c 'echo out; echo err >&2; exit 17'
[ "$(cat stdout)" = out ] || fail "stdout: $(cat stdout)"
[ "$(cat stderr)" = err$'\n'"mmshim: no findings in 1 process: $sh" ] || fail "stderr: $(cat stderr)"
[ -z "$(ls quiet)" ] || fail "logs of nothing: $(ls quiet)"
runs 99 "$mmshim" --tree=a/b sh -c '"$planted"; "$planted" a; exit 0'
says stderr '^1\. double-free in drop \(.*planted\.c:6\)$' '^1 bug in 1 process$' '1 of 3 processes with findings; .mmshim report /.*/a/b'
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

# ---- the processes that had the shim: what one becomes is the same one, what it forks counts with findings ----

runs 0 "$mmshim" --tree=quiet sh -c 'cat /dev/null; cat /dev/null; exec true'
says stderr "^mmshim: no findings in 3 processes: cat \\(2\\), true\$"
runs 0 "$mmshim" --tree=quiet --no-children sh -c 'cat /dev/null'
says stderr "^mmshim: no findings in 1 process: $sh\$"
runs 0 "$mmshim" --tree=quiet sh -c 'env -u LD_PRELOAD cat /dev/null'
says stderr "^mmshim: no findings in 2 processes: $sh, env\$|^mmshim: no findings in 2 processes: env, $sh\$"
runs 0 "$mmshim" --tree=quiet sh -c 'for n in 0 1 2 3 4 5 6 7 8 9; do cp "$0" p$n && ./p$n; done' "$(type -P true)"
says stderr '^mmshim: no findings in 21 processes: cp \(10\), .*p[0-9], \.\.\.$'
runs 0 "$mmshim" --tree=quiet sh -c '"$0" --tree=quiet cat /dev/null' "$mmshim"
says stderr '^mmshim: no findings in 1 process: cat$' "^mmshim: no findings in 2 processes: cat, $sh\$"
"$mmshim" --tree=quiet sh -c 'for n in 0 1 2 3 4 5 6 7 8 9; do (for m in 0 1 2 3 4 5 6 7 8 9; do cat /dev/null & done; wait) & done; wait' 2>stderr
says stderr '^mmshim: no findings in 101 processes: cat \(100\), '
! ls quiet | grep -v "jsonl\$" || fail "left behind"
# A file of somebody else's is not made; why nothing is written there is told to who asks.
LD_PRELOAD=$3 MM_PROCESSES=$PWD/not/there runs 0 cat /dev/null
silent stderr
LD_PRELOAD=$3 MM_PROCESSES=$PWD/not/there MM_VERBOSE=1 runs 0 cat /dev/null
says stderr '^==[0-9]+== mmshim: MM_PROCESSES=/.*/not/there: No such file or directory$'

# Nor is a link followed, nor what is no file written to.
: >list
ln -s list link
mkfifo pipe
for bad in link pipe; do
    LD_PRELOAD=$3 MM_PROCESSES=$PWD/$bad runs 0 timeout 9 cat /dev/null
done
[ ! -s list ] || fail "by a link: $(cat list)"
LD_PRELOAD=$3 MM_PROCESSES=$PWD/list runs 0 cat /dev/null
grep -Eqx '[0-9]+ /.*' list || fail "list: $(cat list)"
runs 159 "$mmshim" --tree=quiet sh -c 'kill -SYS $$'
says stderr '^mmshim: ended by signal 31 ' '^mmshim: try next: '

# ---- who outlives the first is waited for ----

runs 99 "$mmshim" --tree=later sh -c '(sleep 0.5; "$planted") & exit 0'
runs 0 "$mmshim" --tree=later --wait=0 \
    sh -c 'sleep 7 & while [ "$(cat /proc/$!/comm)" != sleep ]; do sleep 0.01; done; echo $!'
says stderr '^mmshim: still running after 0 s .*sleep \([0-9]+\)'
kill "$(cat stdout)"
# In a session of its own, as daemons are.
runs 99 "$mmshim" --tree=later sh -c 'setsid sh -c "sleep 0.5; \"\$planted\"" >/dev/null 2>&1 </dev/null & exit 0'
# And with a title where its environment was.
runs 99 "$mmshim" --tree=later "$4" 5
runs 99 "$mmshim" --tree=later sh -c '"$0" --tree=later --wait=0 "$1" 5' "$mmshim" "$4"

# ---- signals go on, and come back ----

runs 143 "$mmshim" --tree=quiet sh -c 'kill -TERM $$'
runs 139 "$mmshim" --tree=quiet sh -c 'kill -SEGV $$'
says stderr "^mmshim: ended by signal 11 \\(Segmentation fault\\), and no findings in 1 process: $sh\$" \
    '^mmshim: try next: --gdb,.* --quarantine=1G'
runs 139 "$mmshim" --tree=quiet sh -c 'sh -c "kill -SEGV \$\$"; exit $?'
says stderr "^mmshim: ended with status 139, as shells do when a child ended by signal 11 .*no findings in 2 processes: $sh \\(2\\)\$" \
    '^mmshim: try next: --gdb,'
runs 134 "$mmshim" --tree=quiet sh -c 'kill -ABRT $$'
says stderr '^mmshim: ended by signal 6 .*no findings' '^mmshim: try next: what it wrote before '
MM_DEBUG=0 runs 134 "$mmshim" --tree=quiet sh -c 'kill -ABRT $$'
says stderr '^mmshim: try next: MM_DEBUG=1,'
runs 143 "$mmshim" --tree=quiet sh -c 'kill -TERM $$'
! grep -q 'try next' stderr || fail "no crash: $(cat stderr)"
if printf 'int main(void) { __builtin_trap(); }' >static.c && "${CC:-cc}" -static static.c -o static 2>cc.log; then
    runs 132 "$mmshim" --tree=quiet ./static
    says stderr 'the shim will have no effect' '^mmshim: ended by signal 4 .*no findings in 0 processes$' \
        '^mmshim: no process told that it has the shim: .mmshim --check PROGRAM. may tell why$'
else
    echo 'skipped: a static program'
fi
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
# A run that was killed leaves its list of processes behind, which the next one removes; one that goes on keeps it.
: >named/test+2f1@processes-99999999-0
runs 0 "$mmshim" --tree=named --name=test/1 true
[ "$(ls named | wc -l)" -eq 3 ] || fail "logs: $(ls named)"
runs 0 "$mmshim" --tree=named --name=twice sh -c 'env -u MM_LOG "$0" --tree=named --name=twice --wait=0 true; cat /dev/null' "$mmshim"
says stderr '^mmshim: no findings in 1 process: true$' "^mmshim: no findings in 4 processes: "
runs 0 "$mmshim" --tree=named --name=twice true
! ls named | grep -v "jsonl\$" || fail 'left behind'
# A list is not made by who hands on its own, who can't make one does without; no link is followed to one.
MM_PROCESSES=$PWD/not-made runs 0 "$mmshim" --tree=quiet cat /dev/null
[ ! -e not-made ] || fail 'an outer list was made'
: >list
MM_PROCESSES=$PWD/link runs 0 "$mmshim" --tree=quiet cat /dev/null
[ ! -s list ] || fail "by a link: $(cat list)"
MM_PROCESSES=$PWD/list runs 0 "$mmshim" --tree=quiet cat /dev/null
grep -Eqx '[0-9]+ /.*' list || fail "list: $(cat list)"
# What a name would do to a terminal.
cp "$(type -P true)" $'a\e[31m\nname'
runs 0 "$mmshim" --tree=quiet $'./a\e[31m\nname'
says stderr '^mmshim: no findings in 1 process: a\?\[31m\?name$'
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

# ---- a limit and a forbidden system call end nobody; last, as they do end who writes counts of coverage ----

(ulimit -f 0; LD_PRELOAD=$3 MM_PROCESSES=$PWD/list exec cat /dev/null) || fail "status $? at a limit"
cat >filtered.c <<'EOF'
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **arguments)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigpending, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, 2, &program) != 0)
        return 77;
    execvp(arguments[1], arguments + 1);
    return count;
}
EOF
status=0
{ "${CC:-cc}" -w filtered.c -o filtered && ./filtered "$planted" without; } >cc.log 2>&1 || status=$?
if [ "$status" -eq 3 ]; then
    runs 3 "$mmshim" --tree=quiet ./filtered "$planted" without
    says stderr '^mmshim: no findings in 1 process: launcher_planted$'
else
    echo 'skipped: a filter of system calls'
fi
