#!/usr/bin/env bash
# starts.sh LAUNCHER SHIM - it starts under any libc, since it asks for none; and under whatever it is started.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
needs readelf
shim=$2
cd "$work"

readelf -lW "$mmshim" >headers
readelf -dW "$mmshim" >dynamic
readelf -VW "$mmshim" >versions
! grep -q 'INTERP\|program interpreter' headers || fail "names a dynamic linker: $(cat headers)"
! grep -q '(NEEDED)' dynamic || fail "needs a library: $(cat dynamic)"
! grep -q 'GLIBC' versions || fail "needs a version: $(cat versions)"
grep -q '(FLAGS_1).*PIE' dynamic || fail "lies at a fixed address: $(cat dynamic)"

# Nothing in its environment, or of its standard files, is needed.
runs 0 env -i "$mmshim" --version
runs 0 env -i "$mmshim" --check /bin/true
says stdout 'takes effect'
# shellcheck disable=SC2016 # of sh
runs 0 sh -c '"$1" true <&- >&- 2>&-' sh "$mmshim"
# shellcheck disable=SC2016
runs 0 sh -c '"$1" --check true <&- 2>&-' sh "$mmshim"
says stdout 'takes effect'
# A whole old system, where there is one: LAUNCHER_ROOTS are its root folders, which take root to enter.
for root in ${LAUNCHER_ROOTS-}; do
    there=$(mktemp -d "$root/tmp/mmshim.XXXXXX")
    cp "$mmshim" "$shim" "$there"
    status=0
    chroot "$root" "${there#"$root"}/mmshim" --check ls >stdout 2>stderr || status=$?
    rm -r "$there"
    # Whether that libc is new enough for the shim as built here is another question.
    [ $status -ne 125 ] || fail "under $root: $(cat stderr)"
    says stdout '^ls: '
    chroot "$root" /bin/sh -c 'ldd --version' | sed -n '1s/^/started under /p'
done
