#!/bin/sh
# library.sh - checks the shim's file: what it exports, what it needs, how it uses thread-local
# storage.
# usage: library.sh SHIM EXPORTS_FILE NM READELF
set -eu
LC_ALL=C
export LC_ALL

shim=$1
exports=$2
nm=$3
readelf=$4
failed=0

for tool in "$nm" "$readelf"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "skipped: process.library ($tool is not installed)"
        exit 77
    fi
done

fail() {
    echo "library.sh: $shim: $*" >&2
    failed=1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$exports" | sort >"$work/expected"
"$nm" -D --defined-only "$shim" | awk '{ print $NF }' | sort >"$work/exported"
if ! diff "$work/expected" "$work/exported" >"$work/difference"; then
    fail "its exports are not those of $exports (< missing, > not on the list):"
    grep '^[<>]' "$work/difference" >&2
fi

needed=$("$readelf" -dW "$shim" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
for library in $needed; do
    case $library in
    libc.so.6 | ld-linux*) ;;
    *) fail "needs $library: only libc may be needed" ;;
    esac
done
case $needed in
*libc.so.6*) ;;
*) fail "does not need libc.so.6: '$needed'" ;;
esac

# Thread-local data that is looked up at run time is allocated, by malloc, at its first use.
if "$nm" -D "$shim" | grep -q __tls_get_addr; then
    fail "calls __tls_get_addr: some thread-local data is not initial-exec"
fi
if "$readelf" -rW "$shim" | grep -E 'DTPMOD|DTPREL|DTPOFF|TLSDESC' >&2; then
    fail "has the relocations above: some thread-local data is not initial-exec"
fi
tls_size=$("$readelf" -lW "$shim" | awk '$1 == "TLS" { print $6 }')
tls_size=$((${tls_size:-0}))
if [ "$tls_size" -lt 1 ] || [ "$tls_size" -gt 64 ]; then
    fail "has $tls_size bytes of thread-local data: 1 to 64 are expected"
fi

exit $failed
