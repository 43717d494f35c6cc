#!/usr/bin/env bash
# bounds_table.sh TABLE BOUNDS LIBC NM LIST - TABLE (preload/bounds.def, and what it includes) has every function of
# libc's of memory, strings, wide characters, printing, scanning, streams, files, sockets and sorting: those that
# LIBC exports, and those of glibc 2.17 as LIST has them. It is covered, and then BOUNDS exports it,
# or left out with a reason; not both.
set -euo pipefail
LC_ALL=C
export LC_ALL

table=$1
bounds=$2
libc=$3
nm=$4
list=$5

command -v "$nm" >/dev/null 2>&1 || {
    echo "skipped: process.bounds_table ($nm is not installed)"
    exit 77
}

families='mem|str|stp|wcs|wcp|wmem|mbs|wcr|wct|bcopy|bzero|bcmp|swab|index|rindex|rawmem|explicit_b|read|pread'
families+='|recv|fread|fgets|fgetws|gets|getline|getdelim|readlink|getcwd|getwd|qsort|fwrite|fputs|fputws|puts'
families+='|write|pwrite|send|getgroups|gethostname|getdomainname|getlogin_r|getrandom|getentropy|poll|ppoll|epoll'
families+='|bsearch|lfind|lsearch|inet_|l?getxattr|l?listxattr|confstr|realpath|ttyname|ptsname|ato[filq]'
pattern="^_*(($families).*|.*(printf|scanf).*|.*_chk)\$"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

folder=$(dirname -- "$table")
sed -n 's/^#include "\(.*\)"$/\1/p' "$table" | while IFS= read -r part; do
    cat -- "$folder/$part"
done >"$work/table"

# mangle_path is of gcc's that counts coverage: libc has none of that name.
functions() {
    "$nm" -D --defined-only "$1" |
        awk '$2 ~ /[TWi]/ { sub(/@.*/, "", $3); if ($3 != "mangle_path") print $3 }' | sort -u
}

sed -n -E 's/^BOUNDS_(FUNCTION|EARLY|PROCEDURE|VARIADIC|VARIADIC_PROCEDURE|FORTIFIED)\([^,]*, ([A-Za-z_0-9]+),.*/\1 \2/p' \
    "$work/table" | awk '{ print $2 } $1 == "FORTIFIED" { print "__" $2 "_chk" }' | sort >"$work/covered"
sed -n -E 's/^BOUNDS_LEFT_OUT\("([^"]*)", "..*"\)$/\1/p' "$work/table" >"$work/left_out"

{
    functions "$libc"
    awk '!/^#/ && $1 !~ /^GLIBC_/ { for (i = 1; i <= NF; i++) print $i }' "$list"
} | grep -E "$pattern" | sort -u >"$work/wanted"
[[ $(wc -l <"$work/wanted") -gt 300 ]] || {
    echo "too few functions to be all of libc's"
    exit 1
}

tell() {
    sed "s|^|$1: |" >>"$work/told"
}
: >"$work/told"

# Which of the names on the standard input are left out.
left_out() {
    local name pattern
    while IFS= read -r name; do
        while IFS= read -r pattern; do
            # shellcheck disable=SC2053
            [[ $name == $pattern ]] && echo "$name" && break
        done <"$work/left_out"
    done || true
}

uniq -d "$work/covered" | tell "twice in the table"
functions "$bounds" | comm -3 - "$work/covered" | tr -d '\t' | tell "in the table or exported, but not both"
comm -23 "$work/wanted" "$work/covered" >"$work/others"
left_out <"$work/others" | sort -u | comm -13 - "$work/others" | tell "neither covered nor left out"
left_out <"$work/covered" | tell "covered and left out"

cat -- "$work/told" >&2
[[ ! -s $work/told ]]
