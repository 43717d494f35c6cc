#!/bin/bash
# compare.sh itself: each kind of difference is noticed.
. "$(dirname "$0")/compare.sh"

shim_only() {
    if [ -n "${LD_PRELOAD-}" ]; then
        "$@"
    fi
}

different_status() { shim_only exit 3; }
different_stdout() { shim_only echo more; }
different_stderr() { shim_only echo more >&2; }
different_file() { shim_only seq 3 >file; }
missing_file() { [ -n "${LD_PRELOAD-}" ] || echo >file; }
died() { shim_only kill -ABRT "$BASHPID"; }
failing() { false; }
report_on_stderr() { shim_only sh -c 'echo "==$$== mmshim: 1 bad free: 1 double, 0 interior, 0 foreign" >&2'; }
report_in_log() { shim_only sh -c 'echo "==$$==ERROR: mmshim: double-free of 0x10" >varying/log'; }
not_preloaded() { shim_only env LD_PRELOAD=/nothing/libnothing.so true; }
really_freed_twice() { shim_only "$PRELOAD_BLOCKS" double-free; }
hanging() { shim_only sleep 30; }

noticed=0
for action in different_status different_stdout different_stderr different_file missing_file died \
    failing report_on_stderr report_in_log not_preloaded really_freed_twice hanging; do
    if (
        [ "$action" != hanging ] || time_limit=2
        compare "$action"
    ) >"$work/output" 2>&1; then
        cat "$work/output"
        fail "compare has not noticed: $action"
    fi
    grep -q '^FAILED' "$work/output" || fail "compare does not say what is wrong: $action"
    rm -rf "$work/plain" "$work/shim" "$work/run"
    noticed=$((noticed + 1))
done

same() { echo the same; }
compare same
echo "noticed: $noticed differences"
