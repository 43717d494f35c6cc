#!/bin/bash
# vm.overcommit_memory=2: address space counts as soon as it is writable. The setting is the whole
# machine's, so this runs only on a machine that is to be thrown away: PRELOAD_OVERCOMMIT=yes.
. "${0%/*}/../compare.sh"

setting=/proc/sys/vm/overcommit_memory
[ "${PRELOAD_OVERCOMMIT:-no}" = yes ] || skip "changes the machine's settings; PRELOAD_OVERCOMMIT=yes allows it"
before=$(cat "$setting")
trap 'echo "$before" >"$setting"; cleanup' EXIT
(echo 2 >"$setting") 2>/dev/null || skip "vm.overcommit_memory can't be set here"

run_without_overcommit() {
    "$PRELOAD_BLOCKS"
    "$PRELOAD_BLOCKS" keep
    bash "$inputs/work.bash" one two
}
compare run_without_overcommit
