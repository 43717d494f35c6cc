#!/usr/bin/env bash
# check.sh CC WORK holds|fails DEFINE... - looks at every state of remote_free.pml with these
# definitions: no assertion may fail, or one must.
set -euo pipefail
cc=$1 work=$2 expected=$3
shift 3
model=$(realpath -- "$(dirname -- "$0")/remote_free.pml")

if ! command -v spin >/dev/null; then
    echo "skipped: the model of the remote-free protocol (needs spin)"
    exit 77
fi
mkdir -p -- "$work"
cd -- "$work"
rm -f -- ./*.trail
spin "$@" -a "$model"
# A failure is found in a moment: what takes time then is the compiler.
[ "$expected" = holds ] && optimise=-O2 || optimise=-O0
"$cc" "$optimise" -w -DSAFETY -DCOLLAPSE -DNOFAIR -DNOBOUNDCHECK -o pan pan.c
./pan -w24 | tee log

if grep -q 'Search not completed' log && ! grep -q 'assertion violated' log; then
    echo "FAILED: not all states were seen"
    exit 1
fi
case $expected in
holds) grep -q 'errors: 0$' log ;;
fails) grep -q 'assertion violated' log ;;
esac
