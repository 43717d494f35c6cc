#!/usr/bin/env bash
# libc_names.sh SHIM BOUNDS LIBRARY READELF FOLDER - of libc the preloaded libraries refer to nothing that glibc 2.17 lacks,
# as FOLDER/glibc-2.17.ARCHITECTURE.txt lists it: no name, be it weak, and no version. The static
# library's code neither, but for what whoever links it finds in libpthread.
set -euo pipefail
LC_ALL=C
export LC_ALL

shim=$1
bounds=$2
library=$3
readelf=$4

command -v "$readelf" >/dev/null 2>&1 || {
    echo "skipped: process.libc_names ($readelf is not installed)"
    exit 77
}

case $("$readelf" -hW "$shim" | sed -n 's/ *Machine: *//p') in
*X86-64*) list=$5/glibc-2.17.x86_64.txt ;;
AArch64) list=$5/glibc-2.17.aarch64.txt ;;
*)
    echo "skipped: process.libc_names (no list for this architecture)"
    exit 77
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk '!/^#/ { if ($1 ~ /^GLIBC_/) version = $1; else for (i = 1; i <= NF; i++) print $i "@" version }' \
    "$list" | sort >"$work/with_version"
sed 's/@.*//' "$work/with_version" | sort -u >"$work/names"

# not_listed FILE - lines of the standard input that are not in it.
not_listed() {
    sort -u | comm -23 - "$1"
}

# Each line of the standard input is one too many.
tell() {
    sed "s|^|$1: |" >>"$work/told"
}

undefined() {
    "$readelf" "$1" -W "$2" | awk '$7 == "UND" && $8 != "" { sub(/@@/, "@", $8); print $8 }'
}

for preloaded in "$shim" "$bounds"; do
    name=$(basename -- "$preloaded")
    # The compiler's start files ask for these three, which no libc has and the dynamic linker leaves out.
    undefined --dyn-syms "$preloaded" |
        grep -vxE '__gmon_start__|_ITM_(de)?registerTMCloneTable' |
        not_listed "$work/with_version" |
        tell "$name refers to what glibc 2.17 lacks"

    # A version may be needed without a symbol.
    "$readelf" -VW "$preloaded" | sed -n 's/.* Name: \([^ ]*\)  Flags:.*/\1/p' | sort -u |
        comm -23 - <(sed 's/.*@//' "$work/with_version" | sort -u) |
        tell "$name needs a version that glibc 2.17 lacks"
done

# There pthread_atfork() comes from the part of libc that is always linked in, keys from libpthread,
# and atomics (__aarch64_) from the compiler.
undefined --syms "$library" | sed 's/@.*//' |
    grep -vxE '(mm|mem_mngr)_.*|__aarch64_.*|_GLOBAL_OFFSET_TABLE_|_DYNAMIC|pthread_(atfork|key_create|setspecific)' |
    not_listed "$work/names" |
    tell "libmemory_manager.a refers to what glibc 2.17 lacks"

cat "$work/told" >&2
[ ! -s "$work/told" ]
