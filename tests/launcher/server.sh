#!/usr/bin/env bash
# server.sh LAUNCHER SERVER - on a terminal each report of a server with twelve bugs fits in 25 lines of 100 columns, has
# no address, build-id or start-up frame in its traces, is summed up at the server's own code, and shows the lines to
# change; in colour, unless somebody does not want it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
server=$2 source=$(dirname -- "$0")/server.cpp
needs python3
[ -x "$(dirname -- "$mmshim")/../mmshim-symbolize" ] || { echo 'skipped: needs mmshim-symbolize'; exit 77; }

# on_terminal [NAME=VALUE...] - what the server's reports look like there, in $work/seen.
on_terminal() {
    env TERM=xterm "$@" python3 - "$mmshim" "$server" >"$work/seen" <<'END'
import os, pty, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
try:
    while more := os.read(terminal, 65536):
        seen += more
except OSError:  # how Linux says that the other end is closed
    pass
os.waitpid(pid, 0)
sys.stdout.buffer.write(seen.replace(b"\r\n", b"\n"))
END
}

# As the README shows one: but for numbers that differ from run to run.
cp "$server" "$work/server"
server=$work/server
cd -- "$(dirname -- "$source")"
source=server.cpp
shown_once() {
    sed -E 's/==[0-9]+==/==PID==/; s/0x[0-9a-f]+/PTR/; s/thread [0-9]+/thread ID/; s/^    (guarded )?slot .*/    SLOT/'
}
on_terminal NO_COLOR=1
awk '/^```/ { inside = 0 } inside; /^\$ .*mmshim \.\/server$/ { inside = 1 }' ../../README.md | shown_once >"$work/readme"
[ -s "$work/readme" ] || fail 'no report in the README'
# clang calls from other lines.
grep -q 'clang version' "$server" || [[ $(shown_once <"$work/seen") == *"$(cat "$work/readme")"* ]] ||
    fail "not as the README has it: $(cat "$work/readme")"
! grep -q $'\033' "$work/seen" || fail "colour in spite of NO_COLOR: $(cat "$work/seen")"
python3 - "$work/seen" "$source" <<'END'
import re, sys

seen = open(sys.argv[1], encoding="utf-8").read()
bugs = {}
for number, line in enumerate(open(sys.argv[2], encoding="utf-8"), 1):
    if match := re.search(r"// bug (\d+)", line):
        bugs.setdefault(int(match[1]), []).append(number)
reports = re.findall(r"^==\d+==ERROR: .*?^SUMMARY: .*?\n", seen, re.M | re.S)
assert len(bugs) == 12 and len(reports) >= 12, (len(bugs), seen)
for report in reports:
    lines = report.splitlines()
    assert len(lines) <= 25, report
    assert all(len(line) <= 100 for line in lines), report
    assert not re.search(r"BuildId|^    #\d+ 0x|__libc_start|_start$|clone|start_thread", report, re.M), report
    assert re.search(r"^SUMMARY: mmshim: [a-z-]+( of a block [a-z]+)? \S*server\.cpp:\d+ in ", lines[-1]), report
    assert int(re.search(r"server\.cpp:(\d+) in ", lines[-1])[1]) in sum(bugs.values(), []), report
# Of what is found late nobody knows the line that wrote; all others stand in a report.
late = {9: 1, 8: 1}
for bug, places in bugs.items():
    shown = [all(f"server.cpp:{place}\n" in report for place in places[late.get(bug, 0):]) for report in reports]
    summed = [any(f"server.cpp:{place} in" in report.splitlines()[-1] for place in places) for report in reports]
    assert any(a and b for a, b in zip(shown, summed)), (bug, places, seen)
# By clang's names the line is too long for the terminal.
unbroken = re.sub(r"of \(anonymous namespace\)::serve_line, 8 bytes, at\s+", "of serve_line, 8 bytes, at ", seen)
for words in ("by getline → realloc", "first freed by realloc", "allocated by strdup", "3 bytes inside a block of 14 bytes",
              "1 byte before a block of 16 bytes", "global (anonymous namespace)::greeting of",
              "stack of this thread, variable first of serve_line, 8 bytes, at server.cpp:",
              "    a block of 800 bytes, allocated by new[], freed by delete\n", "without a virtual destructor?\n",
              "    (the same call freed it before: ", "    (MM_DEBUG=1 MM_GUARD_BELOW=1 may show the write itself)\n"):
    assert words in unbroken, (words, seen)
END

on_terminal MM_SYMBOLIZE=0
grep -q $'\033\[1;31mERROR' "$work/seen" || fail "no colour: $(cat "$work/seen")"
on_terminal MM_SYMBOLIZE=0 MM_COLOR=never
! grep -q $'\033' "$work/seen" || fail 'colour in spite of MM_COLOR=never'
on_terminal MM_SYMBOLIZE=0 TERM=dumb
! grep -q $'\033' "$work/seen" || fail 'colour on a dumb terminal'
MM_SYMBOLIZE=0 MM_COLOR=always runs 99 "$mmshim" "$server"
grep -q $'\033\[1;31mERROR' "$work/stderr" || fail 'no colour in spite of MM_COLOR=always'
grep -q BuildId "$work/stderr" || fail 'no build-id where there is no terminal'

# The same of its log, with lines that are added afterwards or come with it: a bug is named by what somebody wrote.
MM_SYMBOLIZE=0 runs 99 "$mmshim" --format=json "$server"
"$mmshim" symbolize <"$work/stderr" >"$work/afterwards.jsonl"
runs 99 "$mmshim" --format=json "$server"
for log in "$work/afterwards.jsonl" "$work/stderr"; do
    grep -q '"function":"[^"]*~session[^"]*","file":"[^"]*","line":[0-9]*,"generated":true' "$log" || fail "nothing generated"
    "$mmshim" report "$log" >"$work/report"
    [ "$(grep -Ec '^[0-9]+\. .*server\.cpp:[0-9]+\)$' "$work/report")" -eq 14 ] || fail "not 14 bugs: $(cat "$work/report")"
    # Of sources that lie elsewhere, too.
    (cd / && "$mmshim" report "$log") | sed 's|([^ ]*/|(|' | grep -E '^[0-9]+\. ' | diff <(grep -E '^[0-9]+\. ' "$work/report") - ||
        fail 'other names where the source root is another'
    ! grep -E '^[0-9]+\. .*~session' "$work/report" || fail "named by what nobody wrote: $(cat "$work/report")"
done

python3 - "$work/afterwards.jsonl" "$work/stderr" <<'END'
import json, sys

def own_functions(path):
    findings = [json.loads(line) for line in open(path, encoding="utf-8") if '"type":"finding"' in line]
    return [(finding["kind"], finding["frames"][finding["own_frame"]]["function"]) for finding in findings]

afterwards, at_once = map(own_functions, sys.argv[1:])
assert afterwards == at_once, (afterwards, at_once)
END
