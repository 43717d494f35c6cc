#!/usr/bin/env bash
# installed.sh CMAKE BUILD PLANTED - what gets installed is all that the launcher needs, wherever that is.
set -euo pipefail
prefix=$(mktemp -d)
trap 'rm -rf -- "$prefix"' EXIT
unset LD_PRELOAD DESTDIR DEBUGINFOD_URLS "${!MM_@}"

"$1" --install "$2" --prefix "$prefix" >"$prefix/log"
status=0
"$prefix/bin/mmshim" "$3" 2>"$prefix/report" || status=$?
if [ "$status" -ne 99 ] || ! grep -q 'mmshim: double-free' "$prefix/report"; then
    echo "FAILED: status $status: $(cat "$prefix/report")"
    exit 1
fi
if [ -e "$2/mmshim-symbolize" ]; then
    "$prefix/bin/mmshim" --symbolize=0 "$3" 2>"$prefix/report" || true
    PATH=/nowhere "$prefix/bin/mmshim" symbolize <"$prefix/report" >"$prefix/lines"
    grep -q 'SUMMARY: mmshim: double-free .*/planted.c:[0-9]* in ' "$prefix/lines" ||
        { echo "FAILED: mmshim-symbolize is not found: $(cat "$prefix/lines")"; exit 1; }
fi
for file in share/bash-completion/completions/mmshim share/man/man1/mmshim.1 share/man/man7/libmmshim.7 \
    share/man/man3/libmemory_manager.3; do
    [ -s "$prefix/$file" ] || { echo "FAILED: $file was not installed"; exit 1; }
done
