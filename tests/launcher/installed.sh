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
for file in share/bash-completion/completions/mmshim share/man/man1/mmshim.1 share/man/man7/libmmshim.7 \
    share/man/man3/libmemory_manager.3; do
    [ -s "$prefix/$file" ] || { echo "FAILED: $file was not installed"; exit 1; }
done
