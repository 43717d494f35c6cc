#!/usr/bin/env bash
# surroundings.sh PROGRAM SHIM REFUSE - leaks are told, and nothing else is, where much is refused: by an
# ordinary user, under filters, in namespaces, under a debugger and a tracer; without /proc it is said in a
# line that nothing could be looked for. What the machine can't do is left out.
set -euo pipefail
program=$1 shim=$2 refuse=$3 failed=0
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
chmod 755 "$work"
export MM_LEAKS=1

# run CASE WHAT... - runs a case that way; what it told stands in $work/told.
run() {
    local case=$1
    shift
    "$@" env LD_PRELOAD="$shim" "$program" "$case" >"$work/out" 2>"$work/told" </dev/null || true
    cat -- "$work/out" >>"$work/told"
    # A build that counts what is reached complains there that it can't write its counts.
    sed -i '/^profiling:/d' "$work/told"
}

# looks NAME WHAT... - leaks are told that way, and no others.
looks() {
    local name=$1 case
    shift
    if ! "$@" true >/dev/null 2>&1 </dev/null; then
        echo "left out: $name"
        return
    fi
    run chain "$@"
    grep -q 'mmshim: leaks: 104 bytes in 1 block direct, 211 bytes in 2 blocks indirect' "$work/told" || {
        echo "FAILED: $name: not told"
        cat "$work/told"
        failed=1
    }
    for case in kept_on_stack_of_thread kept_in_register_of_thread kept_in_tls_of_thread; do
        run "$case" "$@"
        ! grep -q 'mmshim' "$work/told" || {
            echo "FAILED: $name: $case"
            cat "$work/told"
            failed=1
        }
    done
    echo "done: $name"
}

under_gdb() {
    gdb -q -batch -ex 'set startup-with-shell off' -ex 'set confirm off' -ex run --args "$@"
}
under_strace() {
    strace -f -o /dev/null "$@"
}

looks plain env
[[ $(id -u) != 0 ]] || looks 'an ordinary user' setpriv --reuid=65534 --regid=65534 --clear-groups
looks 'a filter' "$refuse"
looks 'a filter that refuses to read' "$refuse" --readv
looks 'a user namespace' unshare -Ur "$refuse"
looks 'process 1' unshare -Urpf --mount-proc
looks gdb under_gdb
looks strace under_strace

# Nothing is mounted there but an empty folder.
without_proc() {
    unshare -Urm sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$@"
}
if without_proc true >/dev/null 2>&1; then
    run chain without_proc
    [[ $(sed 's/^==[0-9]*== //' "$work/told") == "mmshim: leaks are not looked for: /proc/self can't be read" ]] || {
        echo 'FAILED: without /proc'
        cat "$work/told"
        failed=1
    }
fi
exit $failed
