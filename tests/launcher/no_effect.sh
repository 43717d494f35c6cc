#!/usr/bin/env bash
# no_effect.sh LAUNCHER SHIM - a program that the shim takes no effect in is said to be one, and runs without it
# as it would have by itself; one that it takes effect in runs with it, whatever is preloaded besides.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
shim=$2 bounds=${2%/*}/libmmshim_bounds.so
cd "$work"
CC=${CC:-cc}

# built NAME COMPILER ARGUMENT... <SOURCE - fails where this compiler can't.
built() {
    local name=$1 compiler=$2
    shift 2
    type -P "$compiler" >/dev/null && "$compiler" -x c -fno-builtin -o "$name" - "$@" 2>"$name.log"
}
# A program that says what it is preloaded with, and frees as it should.
hello='#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    const char *preload = getenv("LD_PRELOAD");
    free(malloc(40));
    printf("hello %s\n", preload != NULL ? preload : "alone");
    return 7;
}'
own="$hello"'
static char memory[1 << 20];
static size_t used;
void *malloc(size_t size) { used += (size + 31) & ~(size_t)15; return memory + used; }
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *block, size_t size) { (void)block; return malloc(size); }
void free(void *block) { (void)block; }'

# runs_without PROGRAM REASON - it says why, and the program neither sees nor misses anything.
runs_without() {
    runs 7 "$mmshim" "$1"
    [ "$(cat stdout)" = 'hello alone' ] || fail "$1 says: $(cat stdout)"
    says stderr "^mmshim: the shim will have no effect: $2.*; it runs without\$"
    [ "$(wc -l <stderr)" -eq 1 ] || fail "more than that on stderr: $(cat stderr)"
    [[ $2 == *Sanitizer* ]] || runs 7 env LD_PRELOAD=libm.so.6 "$mmshim" "$1"
    [[ $2 == *Sanitizer* ]] || says stdout '^hello libm.so.6$'
}
runs_with() {
    runs 7 "$mmshim" "$@"
    says stdout "^hello $shim:$bounds\$"
    silent stderr
}
skipping() {
    echo "skipped: $*"
}

built plain "$CC" <<<"$hello"
runs_with ./plain

# ---- no dynamic linker, another libc, its own malloc ----

if built static "$CC" -static <<<"$hello"; then
    runs_without ./static 'statically linked'
    built static_pie "$CC" -static-pie -fPIE <<<"$hello" && runs_without ./static_pie 'statically linked'
else
    skipping 'static programs (no static libc here)'
fi
if built musl musl-gcc <<<"$hello"; then
    runs 7 env LD_PRELOAD= "$mmshim" ./musl
    runs 7 "$mmshim" ./musl
    says stdout '^hello alone$'
    says stderr 'no effect: its libc is musl'
else
    skipping 'a program of musl (needs musl-gcc)'
fi
built own_malloc "$CC" <<<"$own"
runs_without ./own_malloc 'it defines malloc itself'

# The shim of an image's environment is the shim as well, whichever copy.
for preload in "$shim" "/nowhere/libmmshim.so:$shim" "$bounds:$shim"; do
    runs 7 env LD_PRELOAD="$preload" "$mmshim" ./own_malloc
    says stdout '^hello alone$'
    runs 7 env LD_PRELOAD="libm.so.6 $preload:libc.so.6" "$mmshim" ./own_malloc
    says stdout '^hello libm.so.6:libc.so.6$'
    runs 7 env LD_PRELOAD="libm.so.6 libc.so.6:$preload" "$mmshim" ./plain
    says stdout "^hello $shim:$bounds:libm.so.6 libc.so.6\$"
    silent stderr
done

# ---- every sanitizer with a malloc, its runtime in the program or beside it ----

for sanitizer in address:AddressSanitizer thread:ThreadSanitizer leak:LeakSanitizer memory:MemorySanitizer \
    hwaddress:HWAddressSanitizer; do
    for way in gcc: gcc:-static-libasan gcc:-static-libtsan gcc:-static-liblsan clang: clang:-shared-libsan; do
        name=${sanitizer%%:*}.$(tr -dc '[:alpha:]' <<<"$way")
        # Also of where it has no runtime for it, which shows when it runs.
        # shellcheck disable=SC2086 # none, or a word
        if built "$name" "${way%%:*}" "-fsanitize=${sanitizer%%:*}" ${way#*:} <<<"$hello" &&
            { status=0; "./$name" >/dev/null 2>&1 || status=$?; [ "$status" -eq 7 ]; }; then
            runs_without "./$name" "it (is (built|linked) with ${sanitizer#*:}|defines malloc itself)"
            tried+=" ${way%%:*}:${sanitizer%%:*}"
        fi
    done
done
for kind in gcc:address gcc:thread gcc:leak clang:address clang:memory; do
    [[ ${tried-} == *" $kind"* ]] || skipping "-fsanitize=${kind#*:} of ${kind%%:*}"
done
# One that is preloaded must come first as well.
if runtime=$("$CC" -print-file-name=libasan.so 2>/dev/null) && [ -e "$runtime" ]; then
    runtime=$(readlink -f "$runtime")
    runs 7 env LD_PRELOAD="$runtime" ASAN_OPTIONS=detect_leaks=0 "$mmshim" ./plain
    says stdout "^hello $runtime\$"
    says stderr 'no effect: .*AddressSanitizer'
fi
# UBSan has none.
if built undefined "$CC" -fsanitize=undefined <<<"$hello"; then
    runs_with ./undefined
fi

# ---- a shim that this libc is too old for: here by a library that lost a version ----

mkdir newer
cp "$mmshim" newer
echo 'NEW { global: versioned; };' >new.map
built newer/libversioned.so "$CC" -shared -fPIC -Wl,--version-script=new.map <<<'void versioned(void) {}'
built newer/libmmshim.so "$CC" -shared -fPIC -Lnewer -lversioned -Wl,-rpath,"$PWD/newer" \
    <<<'extern void versioned(void); void calls(void) { versioned(); }'
echo 'OLD { global: versioned; };' >new.map
built newer/libversioned.so "$CC" -shared -fPIC -Wl,--version-script=new.map <<<'void versioned(void) {}'
runs 7 newer/mmshim ./plain
says stdout '^hello alone$'
says stderr "no effect: its dynamic linker says: .*version .NEW. not found \(required by $PWD/newer/libmmshim.so\)"

# ---- scripts, and another machine ----

script() {
    printf '%s\n' "$2" : >"$1"
    chmod +x "$1"
}
script by_own_malloc "#!$PWD/own_malloc"
runs_without ./by_own_malloc 'it defines malloc itself'
# Without #!, by /bin/sh.
# shellcheck disable=SC2016 # of sh
script by_sh 'echo "hello $LD_PRELOAD"; exit 7; #'
runs_with ./by_sh
# What is no program at all runs in nothing's place.
cp plain other
printf '\x16\0' | dd of=other bs=1 seek=18 conv=notrunc status=none
runs 126 "$mmshim" ./other
says stderr 'no effect: it is for s390' 'other: Exec format error'

# ---- the dynamic linker by name ----

linker=$(readelf -lW plain 2>/dev/null | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
if [ -n "$linker" ]; then
    runs_with "$linker" ./plain
    runs_with "$linker" --argv0 x --library-path /nowhere ./plain
    runs 7 "$mmshim" "$linker" ./own_malloc
    says stdout '^hello alone$'
    says stderr 'no effect: it defines malloc itself'
    runs 0 "$mmshim" --check "$linker"
    says stdout 'the shim takes effect'
    runs 1 "$mmshim" --check "$linker" ./own_malloc
    says stdout 'no effect: it defines malloc itself'
fi

# ---- SIGCHLD ignored, as some who start programs have it ----

(trap '' CHLD && runs_without ./own_malloc 'it defines malloc itself' && runs_with ./plain)
[ -z "${runtime-}" ] || [ ! -x address.gcc ] ||
    (trap '' CHLD && runs_without ./address.gcc 'it is linked with AddressSanitizer')
