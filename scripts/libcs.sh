#!/usr/bin/env bash
# libcs.sh [-B DIR] [--kept] [--shim FILE] [RELEASE...] - the tests of misuse, reports and processes under the
# libc of other releases of Debian, each in a root folder of its own: bullseye (glibc 2.31) with the
# shim as it was built here, and sid with one that its own compiler built.
#
# The root folders come from this machine's mirror, by debootstrap, and are kept below DIR,
# ./build-libcs if not given, with the builds of the tests: a first run takes a quarter of an hour, a
# later one five minutes. --kept: only in folders that are there already. FILE is ./build/libmmshim.so
# if not given, and built. Ends with 1 when a release failed, with 77 when none could be had.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

readonly skip=77
work=$root/build-libcs
shim=
kept=
while [ $# -gt 0 ]; do
    case $1 in
    -B) work=$2 && shift 2 ;;
    --kept) kept=yes && shift ;;
    --shim) shim=$2 && shift 2 ;;
    -*) die "no such option: $1" ;;
    *) break ;;
    esac
done
[ $# -gt 0 ] || set -- bullseye sid

skip_all() {
    echo "skipped: libcs ($*)"
    exit $skip
}

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
for tool in debootstrap apt-get unshare chroot; do
    found $tool || skip_all "needs $tool"
done
unshare --mount true 2>/dev/null || skip_all "may not mount"
# shellcheck disable=SC2016 # for apt-get
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || skip_all "apt has no mirror; apt-get update may help"
[ "$(uname -m)" = x86_64 ] || skip_all "needs x86-64"

# What the tests are built with and look at. The shim of the machine's own release is the one that is
# given to users of the older.
packages=gcc,g++,make,cmake,libc6-dev,binutils,python3

# make_root RELEASE FOLDER - the folder is there whole or not at all.
make_root() {
    [ ! -d "$2" ] || return 0
    [ -z "$kept" ] || return 1
    say "making a root folder of $1"
    rm -rf -- "$2.new"
    quietly "$2.log" debootstrap --variant=minbase --include="$packages" "$1" "$2.new" "$mirror" || return
    rm -rf -- "$2.new"/var/cache/apt/archives/*.deb
    mkdir -p -- "$2.new/source" "$2.new/build"
    mv -- "$2.new" "$2"
}

# inside FOLDER COMMAND - in that root folder; what is mounted there is gone with the command.
inside() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private bash -euc '
        mount --bind "$1" "$2/source"
        mount -o remount,bind,ro "$2/source"
        mount -t proc proc "$2/proc"
        mount --rbind /dev "$2/dev"
        exec chroot "$2" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C bash -euc "$3"
    ' - "$root" "$1" "$2"
}

# shellcheck disable=SC2016 # for the shell in there
build_tests='
    [ -e /build/Makefile ] || cmake -S /source -B /build
    make -C /build -j "$(nproc)" mmshim memory_manager
    for part in misuse report preload; do
        make -C "/build/tests/$part" -j "$(nproc)"
    done
'
run_tests="cd /build && ctest -j \$(nproc) -R '^(misuse|process|report)\\.' --output-on-failure --no-tests=error"

run_release() {
    local folder=$work/$1
    make_root "$1" "$folder" || { echo "skipped: libcs of $1 (no root folder; scripts/libcs.sh makes it)"; return $skip; }
    quietly "$folder.log" inside "$folder" "$build_tests" || return 1
    [ "$1" = sid ] || cp -- "$shim" "$folder/build/libmmshim.so"
    inside "$folder" "ldd --version | head -n 1; $run_tests"
}

mkdir -p -- "$work"
if [ -z "$shim" ]; then
    need_build_tools
    build_targets mmshim
    shim=$build/libmmshim.so
fi
some_ran=
some_failed=
for release; do
    printf '== %s\n' "$release"
    status=0
    run_release "$release" || status=$?
    case $status in
    0) some_ran=yes ;;
    "$skip") ;;
    *) some_ran=yes some_failed=yes && echo "$release FAILED" ;;
    esac
done
[ -z "$some_failed" ] || exit 1
[ -n "$some_ran" ] || exit $skip
