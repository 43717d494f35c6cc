#!/bin/bash
# Another user: nobody, who owns nothing.
. "${0%/*}/../compare.sh"
. "${0%/*}/mixture.bash"
[ "$(id -u)" = 0 ] || skip "takes root, to become another user"
# The build may lie where nobody else may look.
cp "$PRELOAD_BLOCKS" "$work/blocks"
PRELOAD_BLOCKS=$work/blocks
cp -r "$inputs" "$work/inputs"
inputs=$work/inputs

work() {
    run_mixture unprivileged
    unprivileged id -un
}
compare work
