#!/bin/bash
# qemu-user: the shim in the emulator, and inside the program it emulates.
# packages: qemu-user
. "${0%/*}/../compare.sh"
qemu=qemu-$(uname -m)
need "$qemu"
"$qemu" "$(type -P true)" 2>/dev/null || skip "$qemu can't run this system's programs"

work() {
    "$qemu" "$(type -P sort)" -n <<<$'10\n9\n1'
    "$qemu" "$PRELOAD_BLOCKS"
    "$qemu" "$(type -P bash)" -c 'for i in {1..300}; do text+=$i; done; echo ${#text}'
}
compare work
