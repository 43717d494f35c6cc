#!/usr/bin/env bash
# verdicts.sh LAUNCHER - what --check says of programs that are made for it, with what is on the machine and with
# no other program to help.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
cd "$work"
CC=${CC:-cc}

# verdict STATUS PROGRAM PATTERN... - twice: as it is, and where there is nothing but bash, for scripts.
mkdir poor
ln -s "$(type -P bash)" poor/bash
verdict() {
    local status=$1 program=$2
    shift 2
    runs "$status" "$mmshim" --check "$program"
    says stdout "$@"
    silent stderr
    PATH=$PWD/poor runs "$status" "$mmshim" --check "$program"
    says stdout "$@"
    silent stderr
}

# built NAME ARGUMENT... <SOURCE - fails where this compiler can't.
built() {
    local name=$1
    shift
    "$CC" -x c -fno-builtin -o "$name" - "$@" 2>"$name.log"
}
main='int main(void) { return 0; }'
own='#include <stddef.h>
void *malloc(size_t size) { (void)size; return NULL; }'

{ printf '\0' && head -c 1000 /dev/urandom; } >noise
chmod +x noise

# ---- takes effect ----

built plain <<<"$main"
verdict 0 ./plain '^./plain: the shim takes effect$'
built no_pie -no-pie <<<"$main"
verdict 0 ./no_pie 'takes effect'
for style in sysv gnu; do
    built calls_malloc "-Wl,--hash-style=$style" <<<'#include <stdlib.h>
int main(void) { return malloc(1) == NULL; }'
    verdict 0 ./calls_malloc 'takes effect'
done
ln -s plain by_link
verdict 0 ./by_link 'takes effect'
runs 0 "$mmshim" --check env
says stdout '^env: the shim takes effect'

# ---- another malloc ----

for style in sysv gnu both; do
    built own_malloc "-Wl,--hash-style=$style" <<<"$own $main"
    verdict 1 ./own_malloc 'no effect: it defines malloc itself'
done
built own_jemalloc -rdynamic <<<"$own void mallocx(void) {} $main"
verdict 1 ./own_jemalloc 'no effect: it brings its own malloc, jemalloc'
built own_sanitizer -rdynamic <<<"$own void __asan_init(void) {} $main"
verdict 1 ./own_sanitizer 'no effect: it is built with AddressSanitizer'
built libother.so -shared -fPIC <<<"$own void mi_malloc(void) {}"
built linked_malloc -L. -Wl,--no-as-needed -lother -Wl,-rpath,"$PWD" <<<"$main"
verdict 0 ./linked_malloc 'takes effect' 'libother.so has a malloc as well' "mimalloc's own"
for kind in address thread; do
    built "$kind" "-fsanitize=$kind" <<<"$main" || { echo "skipped: no -fsanitize=$kind here"; continue; }
    verdict 1 "./$kind" 'no effect: it is (linked|built) with [A-Z][a-z]*Sanitizer'
done

# ---- the dynamic linker ----

if built static -static <<<"$main"; then
    verdict 1 ./static 'no effect: statically linked'
    # What an AppImage starts may well be another thing.
    cp static appimage
    printf 'AI\2' | dd of=appimage bs=1 seek=8 conv=notrunc status=none
    verdict 2 ./appimage "can't tell: an AppImage"
else
    echo 'skipped: no static libc here'
fi
built musl -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 <<<"$main"
verdict 1 ./musl 'no effect: its libc is musl'
built uclibc -Wl,--dynamic-linker=/lib/ld-uClibc.so.0 <<<"$main"
verdict 1 ./uclibc 'no effect: its libc is uClibc'
built android -Wl,--dynamic-linker=/system/bin/linker64 <<<"$main"
verdict 1 ./android "no effect: its libc is Android's"
built absent -Wl,--dynamic-linker=/nowhere/ld-linux-x86-64.so.2 <<<"$main"
verdict 1 ./absent 'no effect: its dynamic linker is not there'
built strange -Wl,--dynamic-linker=/bin/true <<<"$main"
verdict 2 ./strange "can't tell: unknown dynamic linker: /bin/true"
built libgone.so -shared -fPIC <<<'void gone(void) {}'
built incomplete -L. -Wl,--no-as-needed -lgone <<<"$main"
rm libgone.so
verdict 2 ./incomplete "can't tell: .*libgone.so"

# ---- the dynamic linker, run by name ----

linker=$(readelf -lW plain 2>/dev/null | sed -n 's/.*program interpreter: \(.*\)\]/\1/p') || true
if [ -n "$linker" ]; then
    verdict 0 "$linker" 'takes effect' 'what it is to run is judged when it is named'
    check_linker() {
        local status=$1 pattern=$2
        shift 2
        runs "$status" "$mmshim" --check "$linker" "$@"
        says stdout "^$linker: $pattern"
    }
    check_linker 0 'the shim takes effect$' ./plain an argument
    check_linker 0 'the shim takes effect$' --inhibit-cache --argv0 x plain
    check_linker 1 'the shim has no effect: it defines malloc itself' --library-path /nowhere ./own_malloc
    check_linker 1 'the shim has no effect: ./nothing is not there' ./nothing
    check_linker 2 "can't tell: ./noise is neither an ELF file nor a script" ./noise
    cp "$linker" ld-renamed
    verdict 0 ./ld-renamed 'takes effect'
fi
built ld-musl-x86_64.so.1 -shared -fPIC <<<'void nothing(void) {}'
verdict 1 ./ld-musl-x86_64.so.1 'no effect: its libc is musl'

# ---- another architecture: the field at 18 of the ELF header, and its class at 4 ----

with_byte() {
    cp plain "$1"
    printf '%b' "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
with_byte arm 18 b7
with_byte other 18 16
[ "$(uname -m)" = aarch64 ] || verdict 1 ./arm 'no effect: it is for aarch64, the shim for '
verdict 1 ./other 'no effect: it is for s390'

# ---- rights ----

if [ "$(id -u)" -eq 0 ]; then
    cp plain setuid
    chmod u+s setuid
    verdict 0 ./setuid 'takes effect for its owner alone'
    chown 65534 setuid
    chmod u+s setuid
    verdict 1 ./setuid 'no effect: set-user-ID'
    cp plain setgid
    chown :65534 setgid
    chmod g+s setgid
    verdict 1 ./setgid 'no effect: set-group-ID'
    if setcap cap_net_raw+ep plain 2>/dev/null; then
        runs 0 "$mmshim" --check ./plain
        says stdout 'file capabilities: takes effect for root alone'
        chmod -R a+rX "$work"
        if setpriv --reuid=65534 --regid=65534 --clear-groups test -r "$mmshim"; then
            runs 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$mmshim" --check ./plain
            says stdout 'no effect: file capabilities'
        fi
        setcap -r plain
    else
        echo 'skipped: no file capabilities here'
    fi
elif [ -u /usr/bin/passwd ]; then
    verdict 1 /usr/bin/passwd 'no effect: set-user-ID'
fi

# ---- scripts ----

script() {
    printf '%s\n' "$2" : >"$1"
    chmod +x "$1"
}
script by_path "#!$PWD/poor/bash -e"
verdict 0 ./by_path 'takes effect' 'is a script for .*/bash;'
script by_name '#! /usr/bin/env -S bash -e'
verdict 0 ./by_name 'takes effect' 'is a script for bash;'
# Where the name is hard to tell, env: that becomes the interpreter, with the shim or without.
for line in '-S -u NAME bash' '-S "bash" -e' -Sbash '-S --split-string=bash' nothing-there; do
    script by_env "#!/usr/bin/env $line"
    verdict 0 ./by_env 'takes effect' 'is a script for /usr/bin/env;'
done
script by_nothing 'echo text'
verdict 0 ./by_nothing 'takes effect' 'is a script for /bin/sh;'
script by_none '#!/nowhere/interpreter'
verdict 1 ./by_none 'no effect: /nowhere/interpreter is not there'
script by_own_malloc "#!$PWD/own_malloc"
verdict 1 ./by_own_malloc 'no effect: it defines malloc itself'
script round "#!$PWD/round"
verdict 1 ./round 'scripts that run each other'

# ---- what is no program ----

verdict 1 ./nothing 'no effect: ./nothing is not there'
verdict 1 no-such-program 'no effect: no-such-program is not in PATH'
verdict 1 "$work" 'is a directory'
cp plain unrunnable
chmod -x unrunnable
verdict 1 ./unrunnable 'is not executable'
for size in 4 16 52 63 64 100 500 1000; do
    head -c "$size" plain >"cut$size"
    chmod +x "cut$size"
    verdict 2 "./cut$size" "can't tell: .* is neither an ELF file nor a script"
done
verdict 2 ./noise "can't tell: ./noise is neither an ELF file nor a script"
