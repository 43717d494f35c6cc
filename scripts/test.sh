#!/usr/bin/env bash
# test.sh [--no-install] [ctest arguments...] - builds everything and runs the whole CTest suite,
# with the checks of check.sh as tests of it. What the tests of real programs run is installed where
# that can be done without a question; --no-install leaves the machine as it is.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

# program:package, for the tests of real programs and for check.sh.
programs="python3:python3 perl:perl git:git sqlite3:sqlite3 ab:apache2-utils node:nodejs tmux:tmux
    vim:vim xz:xz-utils lua5.4:lua5.4 jq:jq openssl:openssl valgrind:valgrind gdb:gdb strace:strace
    pkg-config:pkg-config ninja:ninja-build groff:groff-base mandoc:mandoc addr2line:binutils eu-addr2line:elfutils musl-gcc:musl-tools
    setcap:libcap2-bin clang:clang clang-format-14:clang-format-14 clang-tidy-14:clang-tidy-14
    spin:spin lintian:lintian dpkg-shlibdeps:dpkg-dev qemu-aarch64-static:qemu-user-static
    aarch64-linux-gnu-g++:g++-aarch64-linux-gnu gcovr:gcovr"
servers="redis-server:redis-server nginx:nginx-light"

# missing PROGRAM:PACKAGE... - the packages of those programs that aren't there.
missing() {
    local pair
    for pair; do
        found "${pair%%:*}" || printf '%s\n' "${pair#*:}"
    done
}

install_programs() {
    local wanted
    # shellcheck disable=SC2086 # lists of words
    mapfile -t wanted < <(missing $programs)
    # Where an init would start a server at every boot from now on, it is the owner's to install.
    if [ ! -d /run/systemd/system ] || [ -n "${CI-}" ]; then
        # shellcheck disable=SC2086
        mapfile -t -O "${#wanted[@]}" wanted < <(missing $servers)
    fi
    [ ${#wanted[@]} -gt 0 ] || return 0
    if ! can_install "${wanted[@]}"; then
        say "going on without: tests that need them are skipped, and named"
        return 0
    fi
    without_services install_what_there_is "${wanted[@]}"
}

install=yes
if [ "${1-}" = --no-install ]; then
    install=
    shift
fi

need_build_tools
[ -z "$install" ] || { want_libraries && install_programs; }
# In CI nobody goes on with make, and check.sh need not build once more what may not warn and what packages hold.
settings=()
[ -z "${CI-}" ] || settings=(-DMM_WERROR=ON -DCMAKE_INSTALL_PREFIX=/usr)
[ -z "${CI-}" ] || ! found ninja || settings+=(-G Ninja)
configured_build "$build" "${settings[@]}" -- all || die "the build failed"

log=$build/test.log
status=0
# -C checks adds check.sh's parts to the suite. One more at a time than there are processors, as one often sleeps.
(cd -- "$build" &&
    ctest -C checks -j $(($(nproc) + 1)) --output-on-failure --no-tests=error "$@" </dev/null) 2>&1 |
    tee -- "$log" || status=$?

# Tests that leave a part of themselves out say so in their output, which ctest keeps to itself, like
# the figures of the coverage.
sed -n '/^\(skipped\|coverage\): /p' "$build/Testing/Temporary/LastTest.log" | sort -u

# From ctest's closing lines, the last of that kind: a failed test's output may hold others. They
# count a skipped test among the passed.
awk '
    / tests failed out of / { failed = $4; total = $NF; skipped = disabled = 0 }
    /^\t.* \(Skipped\)$/ { skipped++ }
    /^\t.* \(Disabled\)$/ { disabled++ }
    END {
        passed = total - failed - skipped
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped + disabled
    }
' "$log"
exit "$status"
