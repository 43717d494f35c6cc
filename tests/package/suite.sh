#!/usr/bin/env bash
# suite.sh WAY CMAKE CC PREFIX WORK - a suite of eight tests with four bugs, three of which end well all the same
# and one in a test that is to fail: each way that a CI may run it in must fail, and tell these four and no other.
set -euo pipefail
way=$1 cmake=$2 cc=$3 prefix=$4 work=$5
sources=$(realpath -- "$(dirname -- "$0")/suite")
mmshim=$prefix/bin/mmshim
unset LD_PRELOAD DEBUGINFOD_URLS "${!MM_@}"
[ -x "$mmshim" ] || { echo 'skipped: needs the command mmshim'; exit 77; }
rm -rf -- "$work"
mkdir -p -- "$work"
cd -- "$work"

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

# project ON|OFF - the suite for ctest, in the folder build.
project() {
    "$cmake" -S "$sources" -B build -DSHIM="$1" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" >log
    "$cmake" --build build >>log
}

# fails COMMAND... - in the folder build; what it says is in the log.
fails() {
    status=0
    (cd build && "$@") >log 2>&1 || status=$?
    [ "$status" -ne 0 ] || fail "passed: $* ($(cat log))"
}

# says PATTERN... - of the log.
says() {
    local pattern
    for pattern; do
        grep -Eq -- "$pattern" log || fail "no line like '$pattern' in: $(cat log)"
    done
}

# tells_bugs FOLDER - exactly those that are planted, in each form.
tells_bugs() {
    local bugs=(double-free:bug_double_free overflow:bug_overflow use-after-free:bug_use_after_free
        interior-free:bug_interior_free) bug
    "$mmshim" report "$1" >text
    "$mmshim" report --junit "$1" >junit.xml
    "$mmshim" report --sarif --source-root="$sources" "$1" >log.sarif
    grep -qx '4 bugs in 4 processes' text || fail "other bugs: $(cat text)"
    [ "$(grep -c '^[0-9]*\. ' text)" -eq 4 ] || fail "other bugs: $(cat text)"
    grep -q '<testsuite name="mmshim" tests="4" failures="4"' junit.xml || fail "JUnit: $(cat junit.xml)"
    [ "$(grep -c '"ruleIndex"' log.sarif)" -eq 4 ] || fail "SARIF: $(cat log.sarif)"
    for bug in "${bugs[@]}"; do
        grep -q "^[0-9]*\. ${bug%:*} .*${bug#*:} (.*suite\.c:[0-9]*)\$" text || fail "no $bug: $(cat text)"
        [ "$(grep -c "<testcase .*name=\"${bug%:*} .*${bug#*:} " junit.xml)" -eq 1 ] || fail "no $bug: $(cat junit.xml)"
        [ "$(grep -c "\"ruleId\": \"${bug%:*}\"" log.sarif)" -eq 1 ] || fail "no $bug: $(cat log.sarif)"
        grep -q "\"fullyQualifiedName\": \"${bug#*:}\"" log.sarif || fail "no $bug: $(cat log.sarif)"
    done
}

case $way in
function)
    project ON
    for _ in once again; do # what an earlier run told is replaced
        fails ctest --output-on-failure
        says ' 4 tests failed out of 8' '50% tests passed' 'double_free .*\*\*\*' 'overflow .*\*\*\*' 'child .*\*\*\*' \
            'fails_with_bug .*\*\*\*' 'fails \.*   Passed' 'double-free in bug_double_free'
    done
    tells_bugs build/mmshim
    ;;
memcheck)
    project OFF
    for _ in once again; do
        fails ctest -T memcheck
        says ' 4 tests failed out of 8' 'FIM - 2' 'IPW - 2' 'fails_with_bug \.*   Defects: 1' 'fails \.*   Passed'
    done
    tells_bugs build/Testing/Temporary/mmshim
    ;;
tree)
    project OFF
    fails "$mmshim" --tree=../findings ctest
    [ "$status" -eq 99 ] || fail "status $status"
    # ctest itself misses two.
    says ' 2 tests failed out of 8' '^4 bugs in 4 processes$'
    tells_bugs findings
    ;;
pytest)
    for python in python3 /usr/bin/python3 ''; do
        [ -n "$python" ] || { echo 'skipped: needs pytest'; exit 77; }
        ! "$python" -c 'import pytest' 2>/dev/null || break
    done
    mkdir build
    "$cc" -g -O0 -w "$sources/suite.c" -o suite
    export SUITE=$PWD/suite MM_EXITCODE=0 PYTHONPATH=$prefix/share/mmshim
    fails "$mmshim" --exitcode=0 --tree=../findings "$python" -m pytest -p mmshim_pytest -p no:cacheprovider "$sources"
    [ "$status" -eq 1 ] || fail "status $status: $(cat log)"
    says '4 failed, 3 passed, 1 xfailed' 'bug_double_free .*suite\.c:[0-9]+' 'FAILED .*test_to_fail\[fails_with_bug\]'
    fails "$python" -m pytest -p mmshim_pytest "$sources"
    says 'to be run by mmshim --tree=DIR'
    tells_bugs findings
    ;;
make)
    for tool in autoreconf automake make; do
        type -P "$tool" >/dev/null || { echo "skipped: needs $tool"; exit 77; }
    done
    cp -r "$sources" build
    (cd build && autoreconf -i && ./configure CC="$cc" CFLAGS="-g -O0") >log 2>&1
    fails make check LOG_COMPILER="$mmshim" LOG_FLAGS="--tree=$work/findings"
    says '^# PASS: +3' '^# XFAIL: +1' '^# ERROR: +4' '^ERROR: fails_with_bug' '^XFAIL: fails$'
    tells_bugs findings
    ;;
esac
