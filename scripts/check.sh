#!/usr/bin/env bash
# check.sh [-B DIR] [part...] - what holds for the source itself; all parts when none is named.
#
#   format      clang-format changes nothing
#   options     what the README says of options is what the parser does
#   layers      a file includes files of its own room and of rooms below it only
#   exports     libmmshim.so exports what it promises, libmemory_manager.a defines nothing of libc's
#   warnings    gcc and clang build everything with -Werror      (or: warnings-gcc, warnings-clang)
#   tidy        clang-tidy finds nothing
#   deb         `cpack -G DEB` makes packages that lintian likes, and that install, run and go away
#   aarch64     a cross build passes its tests under qemu-user
#   sanitize    the core's tests under sanitizers        (or: sanitize-address, sanitize-thread)
#
# Builds go below DIR, ./build-check if not given. Ends with 1 when a part failed, with 77 when all
# that was asked for had to be skipped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

all_parts=(format options layers exports warnings-gcc warnings-clang tidy deb aarch64 sanitize-address
    sanitize-thread)
# Formats and findings differ from release to release; this is the one that the tree is held to.
llvm=14
work=$root/build-check

readonly skip=77

skipped() {
    printf 'skipped: %s (%s)\n' "$part" "$*"
    return $skip
}

# llvm_tool NAME - prints the command that is this tool of release $llvm.
llvm_tool() {
    local tool
    for tool in "$1-$llvm" "$1"; do
        if found "$tool" && "$tool" --version | grep -q "version $llvm\."; then
            printf '%s\n' "$tool"
            return
        fi
    done
    return 1
}

# sources FOLDER... - their C and C++ files, each ended by a NUL.
sources() {
    (cd -- "$root" && find "$@" -regextype posix-extended -regex '.*\.(c|h|cc|cpp)' -print0)
}

check_format() {
    local tool
    tool=$(llvm_tool clang-format) || { skipped "needs clang-format $llvm"; return; }
    cd -- "$root" && sources src preload include tests |
        xargs -0 "$tool" --dry-run -Werror 2>&1 |
        sed -n 's/: error: .*/: not as clang-format -i writes it/p'
}

check_options() {
    "$root/scripts/options.sh" --check
}

# The rooms, the highest first: a file includes files of its own room and of rooms below it, by their
# path from src/ on. The public header is the lowest: it only declares. The launcher is a program of
# its own, and knows the tables of options and kinds and nothing else.
rooms='preload src/entry src/view src/leaks src/findings src/checks src/blocks src/forwarded src/slots src/stacks src/system include'

check_layers() {
    cd -- "$root"
    # One line an include: file, line number, what it includes.
    git ls-files 'src/*.[ch]' 'preload/*.[ch]' 'include/*.h' |
        xargs grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' |
        sed -E 's/^([^:]*):([0-9]+):[^"]*"([^"]*)".*/\1 \2 \3/' |
        awk -v rooms="$rooms" '
        function bad(text) {
            print text
            failed = 1
        }
        function room_of(path) {
            sub(/\/[^\/]*$/, "", path)
            return path
        }
        function exists(path,  line, found) {
            found = (getline line < path) >= 0
            close(path)
            return found
        }
        BEGIN {
            count = split(rooms, room, " ")
            for (i = 1; i <= count; i++)
                rank[room[i]] = i
        }
        {
            where = $1 ":" $2 ": "
            from = room_of($1)
            target = "src/" $3
            if ($3 !~ /\//)
                target = exists(from "/" $3) ? from "/" $3 : "include/" $3
            to = room_of(target)
            if (!exists(target))
                bad(where "not a path from src/ on: " $3)
            else if (target ~ /\.c$/)
                bad(where "includes a .c file: " $3)
            else if (from == "src/launcher") {
                if (to != from && target !~ /\.def$/)
                    bad(where "not the launcher\047s: " $3)
            }
            else if (!(from in rank) || !(to in rank))
                bad(where "a room that scripts/check.sh does not know")
            else if (rank[from] > rank[to])
                bad(where from " reaches up: " $3)
        }
        END { exit failed }'
}

# build_with NAME COMPILER FLAGS CMAKE_ARGUMENTS... -- TARGET... - with these flags rather than the usual ones:
# nobody debugs such a build, and the information for that is a fifth of its time.
build_with() {
    local name=$1 cc=$2 flags=$3 cxx
    shift 3
    case $cc in
    *gcc) cxx=${cc%gcc}g++ ;;
    clang) cxx=clang++ ;;
    esac
    CC=$cc CXX=$cxx configured_build "$work/$name" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_FLAGS_DEBUG="$flags" -DCMAKE_CXX_FLAGS_DEBUG="$flags" "$@"
}

# is_set DIR SETTING=VALUE - was DIR configured so?
is_set() {
    grep -qE "^${2%%=*}:[A-Z]*=${2#*=}\$" "$1/CMakeCache.txt" 2>/dev/null
}

# with_werror DIR - is it set up to build with gcc and -Werror?
with_werror() {
    local cc
    is_set "$1" MM_WERROR=ON || return
    cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$1/CMakeCache.txt")
    ! "$cc" -dM -E -x c /dev/null | grep -q __clang__
}

# gcc_dir - the folder of gcc's build with -Werror: where the main one is that, as in CI, it is built once.
gcc_dir() {
    if with_werror "$build"; then
        printf '%s\n' "$build"
    else
        printf '%s\n' "$work/gcc"
    fi
}

# build_with_clang TARGET... - its warnings are the same where little is optimised, and come sooner.
build_with_clang() {
    build_with clang clang -O0 -DMM_WERROR=ON -DMM_ONE_CORE=ON -- "$@"
}

# build_with_gcc TARGET...
build_with_gcc() {
    CC=gcc CXX=g++ configured_build "$(gcc_dir)" -DMM_WERROR=ON -- "$@"
}

check_exports() {
    local dir list=$root/tests/preload/process/exports.txt status=0
    dir=$(gcc_dir)
    build_with_gcc mmshim memory_manager
    # libc's names are versioned here and there, ours never.
    diff -u --label "promised" --label "exported" \
        <(grep -vE '^(#|$)' "$list" | LC_ALL=C sort) \
        <(nm -D --defined-only "$dir/libmmshim.so" |
            awk '{ sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort) || status=1
    # Weak symbols too: nothing that a program or libc may define as well.
    nm --defined-only --extern-only "$dir/libmemory_manager.a" 2>/dev/null |
        awk 'NF == 3 && $3 !~ /^(mem_mngr|mm)_/ { print "libmemory_manager.a defines " $3; bad = 1 }
            END { exit bad }' || status=1
    return $status
}

check_warnings() {
    found "$1" || { skipped "needs $1"; return; }
    case $1 in
    gcc) build_with_gcc all ;;
    clang) build_with_clang all ;;
    esac
}

# first_commands - of a compile_commands.json, the first command of each file: clang-tidy looks once for each,
# and the core is compiled for the library, the shim and the tests, as the same text each time.
first_commands() {
    awk '
        /^[{]/ { entry = "" }
        { entry = entry $0 "\n" }
        /^ *"file":/ { is_first = !seen[$0]++ }
        /^}/ && is_first { sub(/,?\n$/, "", entry); printf "%s%s", count++ ? ",\n" : "[\n", entry }
        END { print "\n]" }'
}

check_tidy() {
    local tool
    tool=$(llvm_tool clang-tidy) || { skipped "needs clang-tidy $llvm"; return; }
    found clang || { skipped "needs clang"; return; }
    build_with_clang help
    mkdir -p -- "$work/tidy"
    first_commands <"$work/clang/compile_commands.json" >"$work/tidy/compile_commands.json"
    # Tests are left out: many are wrong on purpose.
    cd -- "$root" && find src preload -name '*.c' -print0 |
        xargs -0 -n 1 -P "$(nproc)" "$tool" --quiet -p "$work/tidy" 2>&1 |
        sed -E '/^[0-9]+ warnings? (generated|treated)/d'
}

# install_and_remove DEMO TARGET DEB... - into a root folder of its own, which afterwards must hold what it held before.
install_and_remove() {
    local demo=$1 target=$2 before told shim
    shift 2
    if [ "$(id -u)" -ne 0 ]; then
        echo "skipped: installing the package (needs root)"
        return
    fi
    rm -rf -- "$target"
    mkdir -p -- "$target/var/lib/dpkg"/{info,updates,triggers}
    : >"$target/var/lib/dpkg/status"
    before=$(cd -- "$target" && find . -path ./var -prune -o -print)
    # libc6 is not there; nothing is to be run there either.
    dpkg --root="$target" --force-depends -i "$@" >/dev/null 2>&1
    (cd -- "$target" && md5sum --quiet -c var/lib/dpkg/info/*.md5sums)
    shim=$(find "$target" -name libmmshim.so -type l)
    told=$(LD_LIBRARY_PATH=$(dirname -- "$shim") LD_PRELOAD=libmmshim.so "$demo" malloc 2>&1)
    grep -q 'mmshim: double-free' <<<"$told"
    told=$("$target/usr/bin/mmshim" --exitcode=0 --symbolize=0 "$demo" malloc 2>&1 |
        PATH=/nowhere "$target/usr/bin/mmshim" symbolize)
    grep -q 'SUMMARY: mmshim: double-free .*/tests/demo.c:[0-9]* in ' <<<"$told"
    dpkg --root="$target" -P mmshim mmshim-symbolize >/dev/null 2>&1
    diff <(printf '%s\n' "$before") <(cd -- "$target" && find . -path ./var -prune -o -print)
}

check_deb() {
    local dir=$work/deb debs
    found dpkg-shlibdeps || { skipped "needs dpkg-dev"; return; }
    found lintian || { skipped "needs lintian"; return; }
    # As in CI, where it is built once.
    ! is_set "$build" CMAKE_INSTALL_PREFIX=/usr || dir=$build
    configured_build "$dir" -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_TESTING=OFF -- all
    [[ -x $dir/bin/mmshim && -x $dir/mmshim-symbolize ]] ||
        { skipped "needs libjansson-dev and libdw-dev"; return; }
    rm -f -- "$dir"/*.deb
    (cd -- "$dir" && quietly cpack.log cpack -G DEB)
    debs=("$dir"/*.deb)
    lintian --allow-root --fail-on error,warning "${debs[@]}"
    install_and_remove "$dir/demo" "$work/deb/root" "${debs[@]}"
}

# Left out: what runs its own program again, which takes a kernel that knows the emulator, or looks at the
# memory or the state of the process or stops its threads, which are the emulator's; reads up to a limit behind
# all memory, which it refuses; faults in several threads or children, at which it ends; races of
# threads, which the order of this machine's memory decides there, too; and the same once more in other ways, or
# many times, which takes minutes.
emulated='^(unit|misuse|process)\.'
not_emulated='^unit\.(look|os|stop|attack|draft|model)$|^misuse\.(on_error_abort|on_error_stop|under_another_name|fd2_closed_at_start|fd2_broken_pipe|bounds_each.*|foreign_texts.*|overflow_by_readv?(\.twin)?)$'
not_emulated+='|^process\.(bad_moments|exit_in_handler|exit\..*|many_small.*|.*\.by_name_[0-9]|mappings.*|reports|spawn|stats|stderr|operators|operators_linked|threads.*|start'
not_emulated+='|start\.forwarded|linked|library|sandbox|seccomp|small_stack.*|limits|surroundings|malloc_info|writes|deepbind\.keep'
not_emulated+='|beside_loads|.*\.by_name_[0-9]\.MM_.*|copies\..*|given_back\..*|first_thread_gone|late_heaps|narrow|replaced_file|thread_names|shrink\..*|content.*|large.*|half_aligned.*|overwritten|scarce.*|shut|fork.*|.*\.stacks_.*|.*\.small_arena|handlers\..*|odds\..*|.*\.guarded|.*\.bounds)$'

check_aarch64() {
    local dir=$work/aarch64
    found aarch64-linux-gnu-gcc || { skipped "needs gcc-aarch64-linux-gnu"; return; }
    found aarch64-linux-gnu-g++ || { skipped "needs g++-aarch64-linux-gnu"; return; }
    found qemu-aarch64-static || { skipped "needs qemu-user-static"; return; }
    build_with aarch64 aarch64-linux-gnu-gcc -O2 --toolchain "$root/scripts/cmake/aarch64.cmake" \
        -DMM_WERROR=ON -DMM_ASSERTIONS=ON -- all
    # Atomics are instructions, or libgcc's choice of them: never calls into another library.
    if aarch64-linux-gnu-nm -D "$dir/libmmshim.so" | grep -E ' U (__atomic|__sync)' ||
        aarch64-linux-gnu-readelf -d "$dir/libmmshim.so" | grep 'libatomic\|libgcc'; then
        return 1
    fi
    # The emulator keeps a table of all pages: less address space, less to reserve, and to enter there.
    ulimit -v $((8 << 20))
    cd -- "$dir" && ctest -j "$(nproc)" -R "$emulated" -E "$not_emulated" --output-on-failure --no-tests=error
    # The core once more with pages of 64 KiB, as some kernels have them.
    QEMU_PAGESIZE=65536 ctest -j "$(nproc)" -R '^unit\.(arena|batch|heap|registry|stacks)$' \
        --output-on-failure --no-tests=error
}

# check_sanitize NAME SANITIZERS [LEFT_OUT]
check_sanitize() {
    local dir=$work/$1 fixed=()
    # With lines, for the reports.
    build_with "$1" gcc "-O2 -g1" -DMM_SANITIZE="$2" -- all
    # The sanitizers of gcc 12 know fewer places for mappings than a kernel with a high
    # vm.mmap_rnd_bits picks from.
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        fixed=(setarch "$(uname -m)" -R)
    fi
    cd -- "$dir" && "${fixed[@]}" ctest -j "$(nproc)" ${3:+-E "$3"} --output-on-failure --no-tests=error
}

run_part() {
    case $1 in
    warnings-*) check_warnings "${1#*-}" ;;
    sanitize-address) check_sanitize address address,undefined ;;
    # Pages of another size are one thread's business.
    sanitize-thread) check_sanitize thread thread '\.pages_of_' ;;
    *) "check_$1" ;;
    esac
}

if [ "${1-}" = -B ]; then
    work=$2
    shift 2
fi
parts=()
for part; do
    case $part in
    warnings) parts+=(warnings-gcc warnings-clang) ;;
    sanitize) parts+=(sanitize-address sanitize-thread) ;;
    *)
        [[ " ${all_parts[*]} " == *" $part "* ]] ||
            die "no such part: $part (there are: ${all_parts[*]})"
        parts+=("$part")
        ;;
    esac
done
[ $# -gt 0 ] || parts=("${all_parts[@]}")

need_build_tools
outcomes=()
some_ran=
some_failed=
for part in "${parts[@]}"; do
    printf '== %s\n' "$part"
    # Not with ||, which would keep set -e from ending the part at its first failure.
    set +e
    (set -e && run_part "$part")
    status=$?
    set -e
    case $status in
    0) outcomes+=("$part ok") some_ran=yes ;;
    "$skip") outcomes+=("$part skipped") ;;
    *) outcomes+=("$part FAILED") some_ran=yes some_failed=yes ;;
    esac
done
printf 'checks:'
printf ' %s;' "${outcomes[@]}"
printf '\n'
[ -z "$some_failed" ] || exit 1
[ -n "$some_ran" ] || exit "$skip"
