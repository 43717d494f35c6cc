#!/usr/bin/env bash
# readme.sh LAUNCHER PLANTED - what the README shows of the launcher and of log pipelines works.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
here=$(realpath -- "$(dirname -- "$0")") planted=$2
readme=$here/../../README.md
needs addr2line # or one of the others; it comes with the compiler
cd "$work"

# snippet WORD - prints the block of code with this word in it.
snippet() {
    awk -v word="$1" '
        /^```/ { if (inside && index(block, word)) printf "%s", block; inside = !inside; block = ""; next }
        inside { block = block $0 "\n" }' "$readme"
}

# ---- one command puts the line at fault on the screen ----

runs 99 "$mmshim" "$planted"
says stderr "^    #0 0x[0-9a-f]+ in drop $here/planted.c:$(grep -n 'free(handle)' "$here/planted.c" | cut -d : -f 1) " \
    "in main $here/planted.c:$(grep -n 'line at fault' "$here/planted.c" | cut -d : -f 1) "

# ---- options that the text shows are options ----

runs 0 "$mmshim" --help
section=$(sed -n '/^## With the launcher/,/^## Options/p' "$readme")
while read -r name; do
    flag=${name#MM_}
    flag=${flag,,}
    says stdout "^  --${flag//_/-}="
done < <(grep -oE 'MM_[A-Z_]+' <<<"$section" | sort -u)
while read -r flag; do
    says stdout "(^  |, |mmshim |[[|])$flag"
done < <(grep -oE -- '--[a-z][a-z-]+' <<<"$section" | grep -vx -- --option | sort -u)

# ---- a program that is linked with the library, as built here ----

cat >program.c <<'END'
#include "memory_manager.h"

int main(void)
{
    void *block = mem_mngr_alloc(10);
    mem_mngr_free(block);
    mem_mngr_free(block);
    return 0;
}
END
line=$(snippet 'from here' | sed -n '/from here/s/ *#.*//p')
build=$(realpath -- "$(dirname -- "$mmshim")/..")
[[ $line == cc* ]] || fail "no line of the compiler: $line"
line="\"${CC:-cc}\"${line#cc}"
line=${line//build\//$build/}
line=${line/ program.c/ $PWD/program.c -o $PWD/program}
if grep -q __gcov_init "$build/libmemory_manager.a"; then
    echo 'skipped: the line of the compiler (the library counts what is run)'
else
    runs 0 sh -c "cd '$here/../..' && $line"
    runs 0 ./program
    says stderr '^SUMMARY: mmshim: double-free in main'
fi

# ---- the unit ----

sed 's|^ExecStart=.*|ExecStart=/bin/true|' "$here/../../scripts/examples/server.service" >server.service
if type -P systemd-analyze >/dev/null; then
    runs 0 systemd-analyze --man=no verify "$PWD/server.service"
    ! grep -F server.service stderr || fail "systemd's opinion: $(cat stderr)"
else
    echo 'skipped: the unit (needs systemd-analyze)'
fi

# ---- the line of jq, on findings with and without lines, between lines that are something else ----

if type -P jq >/dev/null; then
    printf '%s\n' 'started' 17 '{"other": "log"}' >log
    "$mmshim" --format=json --symbolize=0 "$planted" 2>>log || true
    "$mmshim" --format=json "$planted" 2>>log || true
    snippet 'journalctl -u' | sed 's/journalctl [^|]*|/cat log |/' >show.sh
    runs 0 bash -e show.sh
    says stdout "^2[^ ]*Z [^ ]+ $planted double-free drop $here/planted.c [0-9]+\$" \
        "^2[^ ]*Z [^ ]+ $planted double-free close_handle $planted 0x[0-9a-f]+\$"
    [ "$(wc -l <stdout)" -eq 2 ] || fail "not two findings: $(cat stdout)"
else
    echo 'skipped: the line of jq (needs jq)'
fi
