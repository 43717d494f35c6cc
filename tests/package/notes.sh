#!/usr/bin/env bash
# notes.sh READELF LIBRARY - the library tells the dynamic linker that it goes along with what protects return
# addresses, for a process that has it keeps it only then.
set -euo pipefail
readelf=$1 library=$2
case $("$readelf" -h "$library") in
*X86-64*) wanted='x86 feature:.*SHSTK' ;;
*) echo "skipped: package.notes (a library is marked only if libc's own start files are, and not everywhere they are)"; exit 77 ;;
esac
"$readelf" -n "$library" | grep -qE "$wanted" || { echo "FAILED: no note of $wanted"; exit 1; }
