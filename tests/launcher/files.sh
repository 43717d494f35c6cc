#!/usr/bin/env bash
# files.sh LAUNCHER - --check and symbolize read the files of other machines as those of this one, and no file, cut
# off anywhere, a gigabyte long or full of lies, makes them fail, hang or guess.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
here=$(realpath -- "$(dirname -- "$0")")
needs python3 readelf
[ -x "$(dirname "$mmshim")/../mmshim-symbolize" ] || needs llvm-symbolizer # others know this machine alone
cd "$work"
CC=${CC:-cc}

# log_of FILE BUILD_ID - a log with one frame of that module.
log_of() {
    printf '    #0 0x7f0000001010 (%s+0x1010) (BuildId: %s)\n' "$PWD/$1" "$2"
}
# symbolized FILE BUILD_ID NAME - that name comes; of a file with another build-id, none.
symbolized() {
    log_of "$1" "$2" >log
    runs 0 "$mmshim" symbolize <log
    says stdout "^    #0 0x7f0000001010 in $3( /.*:[0-9]+)? \(/"
    silent stderr
    log_of "$1" "${2//a/b}" >log
    runs 0 "$mmshim" symbolize <log
    cmp stdout log || fail "a name from another file: $(cat stdout)"
    says stderr "$1: no such file here with build-id ${2//a/b}\$"
}

# ---- other machines ----

id=0a1a2a3a4a5a6a7a8a9a0a1a2a3a4a5a6a7a8a9a
machine=$(uname -m)
count=0
while read -r name bits order number text; do
    python3 "$here/elf_file.py" "$name" "$bits" "$order" "$number" "$id"
    chmod +x "$name"
    readelf -hW "$name" >/dev/null 2>readelf.log || fail "made no ELF file: $(cat readelf.log)"
    [ "$machine" = "$name" ] || {
        runs 1 "$mmshim" --check "./$name"
        says stdout "no effect: it is for $text, the shim for "
    }
    symbolized "$name" "$id" far_away
    count=$((count + 1))
done <<'END_OF_LIST'
i386 32 little 3 i386 \(32 bits\)
x32 32 little 62 x32
arm 32 little 40 ARM \(32 bits\)
x86_64 64 little 62 x86-64
aarch64 64 little 183 aarch64
aarch64_be 64 big 183 aarch64
ppc64 64 big 21 ppc64
s390x 64 big 22 s390
mips 32 big 8 machine 8, 32 bits
END_OF_LIST
[ $count -eq 9 ] || fail "only $count machines"
if type -P aarch64-linux-gnu-gcc >/dev/null && [ "$machine" != aarch64 ] &&
    aarch64-linux-gnu-gcc -x c -g -o real - <<<'int main(void) { return 0; }' 2>/dev/null; then
    runs 1 "$mmshim" --check ./real
    says stdout 'no effect: it is for aarch64, '
fi
# The same machine the other way round.
case $machine in
x86_64) python3 "$here/elf_file.py" swapped 64 big 62 "$id" ;;
aarch64) python3 "$here/elf_file.py" swapped 64 big 183 "$id" ;;
esac
chmod +x swapped
runs 1 "$mmshim" --check ./swapped
says stdout 'no effect: it is for .*, big-endian, the shim for .*, little-endian'

# ---- cut off ----

"$CC" -x c -fno-builtin -g -o whole - <<<'#include <stddef.h>
void *malloc(size_t size) { (void)size; return NULL; }
int main(void) { return 0; }'
build_id=$(readelf -n whole | sed -n 's/.*Build ID: //p')
size=$(stat -c %s whole)
for ((cut = 4; cut < size; cut += size / 47)); do
    head -c "$cut" whole >part
    chmod +x part
    status=0
    timeout 20 "$mmshim" --check ./part >stdout 2>stderr || status=$?
    # Cut off behind all that is loaded, it is what it was.
    [[ $status -eq 1 || $status -eq 2 ]] || fail "status $status, cut at $cut: $(cat stdout stderr)"
    [ "$status" -eq 2 ] || says stdout 'it defines malloc itself'
    log_of part "${build_id:-$id}" >log
    runs 0 timeout 20 "$mmshim" symbolize <log
done

# ---- a gigabyte of nothing behind it, or in it ----

cp whole large
truncate -s 1G large
runs 1 timeout 20 "$mmshim" --check ./large
says stdout 'it defines malloc itself'
python3 "$here/elf_file.py" far 64 little 62 "$id"
truncate -s 1G far
symbolized far "$id" far_away
# Tables that reach through all of it: of segments, sections, the dynamic table, notes.
for lie in 56:ffff 60:ffff 54:ffff 58:ffff 32:ffffffffffffffff 40:ffffffffffffff7f 32:0000001000000000 40:0000001000000000; do
    cp whole lying && truncate -s 1G lying
    # shellcheck disable=SC2001 # a pair of digits each
    bytes=$(sed 's/../\\x&/g' <<<"${lie#*:}")
    printf '%b' "$bytes" | dd of=lying bs=1 seek="${lie%%:*}" conv=notrunc status=none
    status=0
    timeout 20 "$mmshim" --check ./lying >stdout 2>stderr || status=$?
    [[ $status -eq 1 || $status -eq 2 ]] || fail "status $status with the lie $lie: $(cat stdout stderr)"
    log_of lying "$id" >log
    runs 0 timeout 20 "$mmshim" symbolize <log
    cmp stdout log
done
# Any byte of the headers and tables may be wrong.
python3 - whole <<'END_OF_PYTHON'
import random, sys
data = open(sys.argv[1], "rb").read()
random.seed(7)
for i in range(30):
    changed = bytearray(data)
    for _ in range(1 + i % 7):
        changed[random.randrange(16, 0x1000 if i % 2 else len(data))] = random.randrange(256)
    with open(f"changed{i}", "wb") as file:
        file.write(changed)
END_OF_PYTHON
chmod +x changed*
for file in changed*; do
    status=0
    timeout 20 "$mmshim" --check "./$file" >stdout 2>stderr || status=$?
    [ "$status" -le 2 ] || fail "status $status of $file: $(cat stdout stderr)"
    log_of "$file" "${build_id:-$id}" >log
    runs 0 timeout 20 "$mmshim" symbolize <log
done
