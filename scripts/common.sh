# shellcheck shell=bash
# What the scripts beside this file share: messages, missing packages, builds. Sourced, never run.
# All of it talks on stderr: stdout belongs to the program that a script ends up running.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
# sudo asks for a password only where the script says so (run.sh, at a terminal).
may_ask=
apt_updated=

# nginx and others live where only root's PATH looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() {
    printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
}

# 125, as of env and timeout: the script failed, not the program it was to run.
die() {
    say "$*"
    exit 125
}

# found NAME... - is one of these programs there?
found() {
    local name
    for name; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

# quietly LOG COMMAND... - runs it with its output in LOG, which is shown when it fails.
quietly() {
    local log=$1 status=0
    shift
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || cat -- "$log" >&2
    return "$status"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] && return 0
    found sudo || return 1
    sudo -n true 2>/dev/null || { [ -n "$may_ask" ] && [ -t 2 ]; }
}

# can_install PACKAGE... - says why where packages can't be installed here.
can_install() {
    if ! found apt-get; then
        say "missing, and there is no apt to install them with: $*"
        say "(these are Debian's names; your system's package manager has them under similar ones)"
        return 1
    fi
    if ! can_be_root; then
        say "missing, and installing takes root: apt-get install $*"
        return 1
    fi
}

# apt_install PACKAGE... - fails where one could only come by removing what is there.
apt_install() {
    local log status=0
    log=$(mktemp)
    say "installing with apt: $*"
    if [ -z "$apt_updated" ]; then
        # One source that is out of reach is no reason to give up: what is missing shows below.
        as_root apt-get -q update >"$log" 2>&1 </dev/null || true
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-remove --no-install-recommends \
        -o DPkg::Lock::Timeout=120 install "$@" >>"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || grep -E '^(E|W|Err):?' "$log" >&2 || tail -n 20 "$log" >&2
    rm -f -- "$log"
    return "$status"
}

# without_services COMMAND... - installing a server starts it, unless a policy forbids that. The one
# written here forbids nothing once this script is gone, should it ever be left behind.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    # shellcheck disable=SC2064 # the path is to be this one
    trap "as_root rm -f -- $policy" EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n[ ! -e /proc/%d ] || exit 101\n' $$ | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    "$@"
    trap - EXIT INT TERM HUP
    as_root rm -f -- "$policy"
}

# shellcheck disable=SC2317 # called by without_services
# All at once is faster; one by one, a package that this release hasn't got stops no other.
install_what_there_is() {
    local package
    apt_install "$@" || for package; do
        apt_install "$package" || say "going on without $package"
    done
}

need_build_tools() {
    local missing=()
    # Where $CC and $CXX name compilers, cmake says what is wrong with them.
    [ -n "${CC-}" ] || found cc gcc clang || missing+=(gcc libc6-dev)
    [ -n "${CXX-}" ] || found c++ g++ clang++ || missing+=(g++)
    found cmake || missing+=(cmake)
    found make || missing+=(make)
    [ ${#missing[@]} -eq 0 ] && return 0
    { can_install "${missing[@]}" && apt_install "${missing[@]}"; } ||
        die "can't build without: ${missing[*]}"
}

# can_include HEADER - does the compiler find it?
can_include() {
    echo "#include <$1>" | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

# want_libraries - those of the launcher, which is left out where they are missing.
want_libraries() {
    local missing=()
    can_include jansson.h || missing+=(libjansson-dev)
    can_include elfutils/libdwfl.h || missing+=(libdw-dev)
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! can_install "${missing[@]}"; then
        say "going on without: no command mmshim, or none that finds names by itself"
        return 0
    fi
    install_what_there_is "${missing[@]}"
    # A build that is set up already has not found them.
    [ ! -e "$build/CMakeCache.txt" ] || quietly "$build/build.log" cmake "$build"
}

# configured_build DIR CONFIGURE_ARGUMENTS... -- TARGET... - configures DIR the first time, then
# builds the targets, under a lock, since a pipe may well hold two run.sh. Shows only errors. By ninja
# where it is there, which takes a sixth less; but ./build is for make, as README.md says.
configured_build() {
    local dir=$1 arguments=()
    shift
    while [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    if [ "$dir" != "$build" ] && [ -z "${CMAKE_GENERATOR-}" ] && found ninja; then
        arguments+=(-G Ninja)
    fi
    mkdir -p -- "$dir"
    (
        ! found flock || flock 9
        if [ ! -e "$dir/Makefile" ] && [ ! -e "$dir/build.ninja" ]; then
            say "building in $dir"
            quietly "$dir/build.log" cmake -S "$root" -B "$dir" "${arguments[@]}" || exit
        fi
        quietly "$dir/build.log" cmake --build "$dir" -j "$(nproc)" --target "$@"
    ) 9>"$dir/build.lock"
}

# build_targets TARGET... - builds into ./build, as whoever set it up wants it.
build_targets() {
    configured_build "$build" -- "$@" || die "the build failed"
}
