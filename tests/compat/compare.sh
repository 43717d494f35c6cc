# shellcheck shell=bash disable=SC2034
# Sourced by the cases, the scripts in the folders beside it, each of which puts one program to
# work. A case begins with comments that scripts/compat.sh reads:
#
#   # NAME: what it does                 may go on in further lines
#   # packages: PACKAGE...               Debian's, beyond those that every system has
#   # note: REMARK                       for the table in the README, if there is one to make
#
# A script defines a function that does the work in the current directory and hands its name to
# `compare`. That calls it twice, in an empty directory of the same path: first as it is, then with
# the shim preloaded into everything that it starts. Both times it must succeed, and exit status,
# stdout, stderr and the files left behind must be the same. What can't be the same from one run
# to the next goes into varying/, which is only searched for reports of the shim.
#
# A bad free aborts the program here, so that it shows even where the program's stderr is lost.
#
# From CMakeLists.txt and scripts/compat.sh: PRELOAD_SHIM, the shim; PRELOAD_SOURCE, the top of the
# source tree; PRELOAD_BLOCKS, the program built from blocks.c; PRELOAD_TIME_LIMIT, if it isn't 180;
# PRELOAD_OPTIONS, NAME=VALUE for the shim.

set -euo pipefail
: "${PRELOAD_SHIM:?the path of libmmshim.so}"

# The programs' behaviour is not to depend on who runs the tests, and where.
unset LD_PRELOAD
export LC_ALL=C TZ=UTC TERM=dumb
PATH=$PATH:/usr/sbin:/sbin # where servers are
umask 022
ulimit -c 0

test_name=$(basename "$0" .sh)
inputs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/inputs
work=$(mktemp -d "${TMPDIR:-/tmp}/preload.XXXXXX")
trap cleanup EXIT
trap 'echo "FAILED: $test_name: line $LINENO: $BASH_COMMAND"' ERR
chmod 755 "$work" # other users' processes come here too
export HOME=$work/home
mkdir "$HOME"
# Where every user may read it, and whose path has neither spaces nor colons.
shim=$work/$(basename "$PRELOAD_SHIM")
cp "$PRELOAD_SHIM" "$shim"

time_limit=${PRELOAD_TIME_LIMIT:-180} # seconds for one run, however slow and busy the machine
compare_stderr=yes # a script says no where a program's messages are never twice the same
servers=()
group= # of the processes of the run that is going on

cleanup() {
    if [ -n "$group" ]; then
        kill -KILL -- "-$group" 2>/dev/null || true
    fi
    rm -rf "$work"
}

skip() {
    echo "skipped: $test_name ($*)"
    exit 77
}

# need_little_memory skips the test where the checks hold more than it allows.
need_little_memory() {
    [ -z "${PRELOAD_OPTIONS-}" ] || skip "$PRELOAD_OPTIONS takes more memory"
}

fail() {
    echo "FAILED: $test_name: $*"
    exit 1
}

is_preloadable() {
    [ "$(head -c 2 "$1")" = '#!' ] || ldd "$1" >/dev/null 2>&1
}

# need PROGRAM... skips the test where one isn't there, or is of a kind that ignores LD_PRELOAD.
need() {
    local program path
    for program; do
        path=$(command -v "$program") || skip "$program is not installed"
        is_preloadable "$path" || skip "$program is statically linked"
    done
}

# first_of PROGRAM... prints the first that is installed, or nothing.
first_of() {
    local program
    for program; do
        if command -v "$program"; then
            return
        fi
    done
}

# The python3 in PATH may be a launcher script that looks into the real home directory.
find_python() {
    local real_home
    real_home=$(getent passwd "$(id -u)" | cut -d: -f6)
    HOME=$real_home python3 -c 'import sys; print(sys.executable)' 2>/dev/null || true
}

# status COMMAND... runs it and prints how it ended.
status() {
    local status=0
    "$@" || status=$?
    echo "exit status $status: $(basename "$1")"
}

# retry COMMAND... runs it until it succeeds, for ten seconds at most.
retry() {
    local attempt
    for attempt in $(seq 100); do
        if "$@" >/dev/null 2>&1; then
            return
        fi
        sleep 0.1
    done
    echo "still failing after $attempt attempts: $*" >&2
    return 1
}

# find_port sets $port to one that is free, below the range from which the system picks by itself.
find_port() {
    port=$((20000 + RANDOM % 10000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((port + 1))
    done
}

# unprivileged COMMAND... runs it as another user where this is root, and gives that user the files.
unprivileged() {
    if [ "$(id -u)" = 0 ]; then
        chown -R nobody:nogroup . "$HOME"
        setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"
    else
        "$@"
    fi
}

# start_server COMMAND... runs it in the background until the work is done, at the latest.
start_server() {
    "$@" &
    servers+=($!)
}

# Called when the work is over. A server that ended by itself is gone from the process table.
stop_servers() {
    local pid
    for pid in "${servers[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
}

# A script replaces it where output holds what differs from run to run.
normalise() {
    cat
}

# seconds START - prints how long a run took, and what of the processors: the children that `times`
# counted in $work/times before and after it.
seconds() {
    awk -v wall="$EPOCHREALTIME" -v start="$1" '
        NR % 2 == 0 { split($0, t, "[ms ]+"); before = cpu; cpu = t[1] * 60 + t[2] + t[3] * 60 + t[4] }
        END { printf "%.1f s, processor %.1f s", wall - start, cpu - before }' "$work/times"
}

# run_once MODE ACTION: each run is a process group of its own, so that all of it can be ended.
run_once() {
    mkdir -p "$work/run/varying" "$work/$1"
    set -m
    (
        set +m
        trap stop_servers EXIT
        cd "$work/run"
        if [ "$1" = shim ]; then
            # shellcheck disable=SC2086 # none or several
            export LD_PRELOAD=$shim MM_ON_ERROR=abort ${PRELOAD_OPTIONS-}
        fi
        "$2"
    ) </dev/null >"$work/$1/stdout.raw" 2>"$work/$1/stderr.raw" &
    group=$!
    set +m

    times >>"$work/times"
    local start=$EPOCHREALTIME end=$((SECONDS + time_limit)) status=0 stream
    while kill -0 "$group" 2>/dev/null; do
        if ((SECONDS >= end)); then
            echo "FAILED: $test_name: still running after $time_limit seconds ($1)"
            ps -e -o pgid,pid,stat,wchan:20,args | grep "^ *$group " || true
            kill -KILL -- "-$group"
            wait "$group" 2>/dev/null || true
            exit 1
        fi
        sleep 0.05
    done
    wait "$group" || status=$?
    times >>"$work/times"
    seconds "$start" >"$work/$1/seconds"
    kill -KILL -- "-$group" 2>/dev/null || true
    group=

    echo "$status" >"$work/$1/status"
    for stream in stdout stderr; do
        normalise <"$work/$1/$stream.raw" >"$work/$1/$stream"
    done
    mv "$work/run/varying" "$work/$1/varying"
    mv "$work/run" "$work/$1/files"
}

# expect_same PART
expect_same() {
    diff -ru "$work/plain/$1" "$work/shim/$1" >"$work/difference" && return
    echo "FAILED: $test_name: the $1 differs: - without the shim, + with it"
    head -n 60 "$work/difference"
    if [ "$1" = status ]; then
        echo "the last of its stderr:"
        tail -n 20 "$work/shim/stderr.raw"
    fi
    failed=yes
}

# expect_silence: nothing from the shim, nor from the loader about the shim.
expect_silence() {
    if grep -n -a -e mmshim -e 'ERROR: ld.so' "$work/shim/stderr.raw" >"$work/found" ||
        grep -rn -a -E '==[0-9]+==(ERROR:)? mmshim' "$work/shim" >"$work/found"; then
        echo "FAILED: $test_name: the shim has reported:"
        grep -n -a -A 20 mmshim "$work/shim/stderr.raw" | head -n 60 || head -n 60 "$work/found"
        failed=yes
    fi
}

# compare ACTION
compare() {
    LD_PRELOAD=$shim grep -q -F "$(basename "$PRELOAD_SHIM")" /proc/self/maps ||
        fail "$PRELOAD_SHIM can't be preloaded"
    run_once plain "$1"
    if [ "$(cat "$work/plain/status")" != 0 ]; then
        tail -n 20 "$work/plain/stdout.raw" "$work/plain/stderr.raw"
        fail "it fails without the shim"
    fi
    run_once shim "$1"
    failed=no
    local part
    for part in status stdout stderr files; do
        if [ "$part" != stderr ] || [ "$compare_stderr" = yes ]; then
            expect_same "$part"
        fi
    done
    expect_silence
    [ "$failed" = no ] || exit 1
    echo "the same without and with the shim: $test_name" \
        "($(cat "$work/plain/seconds"); with it $(cat "$work/shim/seconds"))"
    rm -rf "$work/plain" "$work/shim"
}
