#!/usr/bin/env bash
# man.sh LAUNCHER FOLDER - the man pages name every option and every public function, and no formatter complains.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
pages=$2 root=$(realpath -- "$(dirname -- "$0")/../..")

# in_page PAGE TEXT - does the page say that?
in_page() {
    grep -qF -- "$2" <(sed 's/\\//g' "$pages/$1") || fail "$1 does not say: $2"
}

count=0
while read -r name; do
    flag=--${name,,}
    in_page mmshim.1 ".B ${flag//_/-}="
    in_page libmmshim.7 ".B MM_$name="
    count=$((count + 1))
done < <(sed -n 's/^OPTION(\([A-Z_]*\),.*/\1/p' "$root/src/entry/options.def")
[ "$count" -ge 10 ] || fail "only $count options found"

count=0
while read -r name; do
    in_page libmemory_manager.3 ".SS $name()"
    grep -q "^\.B .*$name(" "$pages/libmemory_manager.3" || fail "no synopsis of $name"
    count=$((count + 1))
done < <(sed -n 's/^MEM_MNGR_API .*\(mem_mngr_[a-z_]*\)(.*/\1/p' "$root/include/memory_manager.h")
[ "$count" -ge 10 ] || fail "only $count functions found"
in_page libmemory_manager.3 'MEM_MNGR_FOREIGN_FREE'
! grep -l '@' "$pages"/* || fail 'a page has parts that were not filled in'

for page in "$pages"/*.[0-9]; do
    if type -P groff >/dev/null; then
        groff -man -ww -Tutf8 "$page" >/dev/null 2>"$work/stderr"
        silent stderr
    fi
    if type -P mandoc >/dev/null; then
        runs 0 mandoc -Tlint "$page"
        silent stdout
    fi
done
type -P groff mandoc >/dev/null || echo 'skipped: one formatter at least (needs groff and mandoc)'
