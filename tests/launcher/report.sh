#!/usr/bin/env bash
# report.sh LAUNCHER SHIM - logs are told again by bug: golden/ has a log, and each form as it is to be.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
golden=$(realpath -- "$(dirname -- "$0")/golden") shim=$2
cd "$work"

# ---- each form ----

# same FILE - is what was said the golden one?
same() {
    diff -u "$golden/$1" stdout || fail "not as in golden/$1"
}
for form in text junit github prometheus; do
    flag=--$form
    [ "$form" != text ] || flag=--
    runs 0 "$mmshim" report --source-root=/src "$flag" "$golden/findings.jsonl"
    same "$form"
    silent stderr
done
if type -P jq >/dev/null; then
    # Which version and which kinds there are is not of the log.
    runs 0 "$mmshim" report --sarif --source-root=/src "$golden/findings.jsonl"
    jq '.runs[0].results | map(del(.ruleIndex))' stdout >results
    mv results stdout
    same sarif
fi
runs 0 "$mmshim" sarif --source-root=/src <"$golden/findings.jsonl"
cp stdout one
runs 0 "$mmshim" report "$golden/findings.jsonl" --sarif --source-root=/src
cmp one stdout || fail 'sarif and report --sarif differ'

# ---- files, folders, stdin ----

mkdir folder
head -n 2 "$golden/findings.jsonl" >folder/a.jsonl
tail -n +3 "$golden/findings.jsonl" >folder/b.jsonl
echo 'no log' >folder/other
runs 0 "$mmshim" report --source-root=/src folder
[ "$(grep '^[0-9]*\. ' stdout)" = "$(grep '^[0-9]*\. ' "$golden/text")" ] || fail "from a folder: $(cat stdout)"
runs 0 "$mmshim" report --source-root=/src <"$golden/findings.jsonl"
same text
runs 0 "$mmshim" report --junit </dev/null
says stdout 'tests="1" failures="0"' '<testcase classname="mmshim" name="no findings"/>'
runs 0 "$mmshim" report </dev/null
says stdout '^no findings$'

# ---- what is no report is told, and hides none behind it ----

{
    head -c 700 "$golden/findings.jsonl" # of a process that was killed
    sed -n 6p "$golden/findings.jsonl"
    echo 'strange'
    sed -n 2p "$golden/findings.jsonl"
} >torn.jsonl
runs 1 "$mmshim" report --source-root=/src torn.jsonl
says stderr '^mmshim: left out, being no reports of mmshim in JSON: torn\.jsonl: line 1, 2$'
says stdout 'double-free in close_handle<int> \(server\.c:90\)'
{ head -c 700 "$golden/findings.jsonl"; sed -n 2p "$golden/findings.jsonl"; } >torn.jsonl
runs 1 "$mmshim" report --source-root=/src torn.jsonl
says stdout 'double-free in close_handle<int> \(server\.c:90\)' '^1 bug in 1 process$'

# ---- a bug is the same in another build, and another one on another line ----

if type -P jq >/dev/null; then
    cat >bugs.c <<'END'
#include <stdlib.h>
static void __attribute__((noinline)) twice(int line)
{
    char *volatile block = malloc(40);
    if (line == 1)
        free(block);
    else
        free(block), line = 0;
    if (line)
        free(block);
    else
        free(block); /* another line */
    __asm__ volatile("");
}
int main(int count, char **arguments)
{
    (void)arguments;
    twice(count);
    return 0;
}
END
    { printf '// %s\n' one two three; sed 's/^int main/int other;\n&/' bugs.c; } >moved.c
    for name in bugs moved; do
        "${CC:-cc}" -g -O0 "$name.c" -o "$name"
        runs 0 env LD_PRELOAD="$shim" MM_SYMBOLIZE=1 MM_STACKS=8 MM_FORMAT=json MM_LOG="$PWD/$name.jsonl" "./$name"
        runs 0 env LD_PRELOAD="$shim" MM_SYMBOLIZE=1 MM_STACKS=8 MM_FORMAT=json MM_LOG="$PWD/$name.jsonl" "./$name" 2
        runs 0 "$mmshim" report --sarif "$name.jsonl"
        jq -r '.runs[0].results[].partialFingerprints[]' stdout >"$name.prints"
        [ "$(sort -u "$name.prints" | wc -l)" -eq 2 ] || fail "bugs of $name: $(cat "$name.jsonl")"
    done
    if grep -q function_line bugs.jsonl; then # told by mmshim-symbolize alone
        cmp bugs.prints moved.prints || fail "other bugs: $(cat bugs.jsonl moved.jsonl)"
    fi
fi

# ---- the command line ----

runs 0 "$mmshim" report --help
says stdout '^Usage: mmshim report' '--junit' '--prometheus'
runs 125 "$mmshim" report none.jsonl
says stderr '^mmshim: none\.jsonl: No such file'
runs 125 "$mmshim" report --xml
says stderr 'knows no --xml'
runs 125 "$mmshim" report --junit --sarif </dev/null
says stderr 'one form at a time'
