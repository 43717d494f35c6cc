#!/bin/bash
# Python's tests: its own, python_test.sh MODULE...; how each of them ended is compared.
# packages: python3 libpython3.11-testsuite
. "${0%/*}/../compare.sh"
[ $# -gt 0 ] || set -- test_dict test_list test_json test_threading test_subprocess test_mp_fork

# Left out: tests that wait for a timeout to pass, or for what the machine's load decides.
ignored=(
    # test_threading, test_subprocess
    '*timeout*' '*_dead' '*test_communicate_repeated_call*' '*test_join_nondaemon*'
    '*test_is_alive_after_fork' '*test_clear_threads_states*'
    # test_mp_fork; its WithThreads tests start no process
    '*.WithThreads*' '*TestPoll*' '*test_map_no_failfast' '*test_wait_result' '*TestResourceTracker*'
    '*TestManagerRestart*' '*TestCondition*' '*TestBarrier*' '*_slow' '*.test_terminate' '*.test_kill' '*test_issue14725'
    '*test_pool_worker_lifetime_early_close' '*TestIgnoreEINTR*'
)

# A module of our own is found beside this script, all others in the test package.
modules=("$@")
first=test.$1
options=(--junit-xml varying/results.xml)
if [ -e "$inputs/$1.py" ]; then
    first=$1
    options+=(--testdir "$inputs")
fi
for pattern in "${ignored[@]}"; do
    options+=(-i "$pattern")
done

need python3
export PYTHONDONTWRITEBYTECODE=1
python=
for candidate in "$(find_python)" /usr/bin/python3; do
    if [ -x "$candidate" ] && PYTHONPATH=$inputs "$candidate" -c "import test.libregrtest, $first" 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || skip "no python3 here has the tests, as in Debian's libpython3.11-testsuite"

run_modules() {
    status "$python" -m test "${options[@]}" "${modules[@]}" >varying/output 2>&1
    grep '^exit status' varying/output
    env -u LD_PRELOAD "$python" "$inputs/results.py" varying/results.xml
}
compare run_modules
