#!/usr/bin/env bash
# bench.sh [option...] - time and peak memory of libmmshim.so beside glibc's malloc, and beside mimalloc,
# jemalloc, tcmalloc and scudo where they are installed. Builds into ./build-bench, and leaves there
# bench.csv (every run), bench.md (the tables, also on stdout), bench.svg and bench.png.
#
#   --quick             an eighth of the work, 3 runs: under two minutes
#   --runs N            counted runs of each row under each allocator (5; quick: 3)
#   --rows REGEX        only rows whose name matches
#   --peer NAME=FILE    one more library to compare with, an older build of the shim, say
#   --install-peers     install those four with apt first
#   --clock wall|cpu    which time counts: cpu is steadier on a machine that is not idle (wall)
#   --csv FILE          where the runs are written to
#   --table FILE        no runs: the tables and the picture of such a file
#   --checks            real programs alone, and instead of the other allocators the shim with each of
#                       its checks, with all of them, and valgrind's memcheck, where it is installed
#   --instructions      no runs: instructions of a malloc and its free, counted by callgrind
#
# The allocators take turns in each row. A figure is the median of its runs, peak memory the kernel's
# ru_maxrss. A row that needs a program that isn't there is left out, and named.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

work=$root/build-bench
here=$root/tests/bench
bin=$work/tests/bench
csv=$work/bench.csv
log=$work/bench.log

# -- allocators: names, and the libraries to preload; none for glibc --

allocators=(glibc mmshim)
libraries=("" "$work/libmmshim.so")

# name:soname:Debian's package. Of scudo, the standalone build, which Android uses.
peers="mimalloc:libmimalloc.so.2:libmimalloc2.0 jemalloc:libjemalloc.so.2:libjemalloc2
    tcmalloc:libtcmalloc_minimal.so.4:libtcmalloc-minimal4
    scudo:libclang_rt.scudo_standalone-$(uname -m).so:libclang-rt-14-dev"

# find_library SONAME - prints its path, if it is there.
find_library() {
    local path
    for path in $(ldconfig -p | awk -v name="$1" '$1 == name { print $NF; exit }') \
        /usr/lib/llvm-*/lib/clang/*/lib/linux/"$1"; do
        if [ -e "$path" ]; then
            printf '%s\n' "$path"
            return
        fi
    done
    return 1
}

# add_allocator NAME LIBRARY
add_allocator() {
    [ -e "$2" ] || die "no such library: $2"
    allocators+=("$1")
    libraries+=("$(realpath -- "$2")")
}

add_peers() {
    local peer name soname path
    for peer in $peers; do
        IFS=: read -r name soname _ <<<"$peer"
        if path=$(find_library "$soname"); then
            add_allocator "$name" "$path"
        else
            say "skipped: $name (not installed; --install-peers does that)"
        fi
    done
}

# The shim with an option is named by it: what has a "=" in its name is an option.
add_checks() {
    local option
    for option in MM_STACKS=16 MM_QUARANTINE=64M MM_GUARD=16 MM_MISMATCH=1 MM_DEBUG=1; do
        allocators+=("$option")
        libraries+=("${libraries[1]}")
    done
    if found valgrind; then
        allocators+=(memcheck)
        libraries+=("")
    else
        say "skipped: memcheck (needs valgrind)"
    fi
}

install_peers() {
    local peer soname package
    for peer in $peers; do
        IFS=: read -r _ soname package <<<"$peer"
        find_library "$soname" >/dev/null && continue
        can_install "$package" || return 0
        apt_install "$package" || say "going on without $package"
    done
}

# -- rows --

row_names=()
row_groups=()
row_commands=()
# Of real programs: the program, and what brings glibc's malloc back.
row_programs=()
row_glibcs=()
skipped=()

scaled() {
    printf '%s\n' $((($1 + divisor - 1) / divisor))
}

# row GROUP NAME ARGUMENTS... - the arguments are bench_runner's.
row() {
    [[ $2 =~ $wanted ]] && [[ -z $checks || $1 = real ]] || return 0
    row_groups+=("$1")
    row_names+=("$2")
    shift 2
    row_commands+=("$(printf '%q ' "$@")")
    row_programs+=("")
    row_glibcs+=("")
}

# workload PROGRAM ROW COUNT - one of tests/bench.
workload() {
    row synthetic "$2" "$bin/bench_$1" "$2" "$(scaled "$3")"
}

# Where a program comes linked with an allocator of its own, preloading libc brings glibc's back.
glibc_of() {
    ldd "$1" 2>/dev/null | awk '
        $1 ~ /^lib(je|tc|mi)malloc/ { own = 1 }
        $1 == "libc.so.6" { libc = $3 }
        END { if (own) print libc }'
}

# real NAME PROGRAMS ARGUMENTS... - a row of a real program, the first of those it needs.
real() {
    local name=$1 programs=$2 program
    [[ $name =~ $wanted ]] || return 0
    for program in $programs; do
        found "$program" && continue
        skipped+=("$name (needs $program)")
        return
    done
    shift 2
    row real "$name" "$@"
    row_programs[-1]=${programs%% *}
    row_glibcs[-1]=$(glibc_of "$(command -v "${programs%% *}")")
}

declare_rows() {
    workload synthetic pair 50000000
    workload synthetic pairs 40000000
    workload synthetic lifo 40000000
    workload synthetic fifo 50000000
    workload synthetic random-1k 20000000
    workload synthetic random-100k 10000000
    workload synthetic random-2m 1000000
    workload synthetic medium 2500000
    workload synthetic large 80000
    workload synthetic buffers 400000
    workload synthetic growing 20000000
    workload synthetic realloc 3000000
    workload synthetic calloc 6000000
    workload synthetic aligned 6000000
    workload synthetic phases 24
    row synthetic small -n "$(scaled 400)" "$bin/bench_synthetic" small 2000
    workload cxx map 1200000
    workload cxx unordered_map 1200000
    workload cxx strings 200000
    workload cxx parser 3000000
    workload threads one 20000000
    workload threads two 20000000
    workload threads larson 3000000
    workload threads remote 5000000
    workload threads churn 20000
    workload threads many 30000
    workload threads first-large 100000

    local python lua socket=$scratch/redis
    # Not a wrapper that picks one of several, but the program itself.
    python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || python=python3
    for lua in lua5.4 lua5.3 lua; do
        ! found "$lua" || break
    done
    real sqlite sqlite3 sqlite3 -batch -cmd ".param set :rows $(scaled 100000)" :memory: \
        ".read $here/real/sqlite.sql"
    real python "$python" "$python" "$here/real/python.py" "$(scaled 40)"
    real perl perl perl "$here/real/perl.pl" "$(scaled 240)"
    real lua "$lua" "$lua" "$here/real/lua.lua" "$(scaled 180)"
    # A compiler: see real/gcc.awk.
    real gcc "gcc awk" gcc -O2 -S -o /dev/null "$scratch/gcc.c"
    # A database server: strings, lists, sets and hashes, as its own benchmark fills them.
    real redis "redis-server redis-benchmark redis-cli" -s "$socket" \
        -c "redis-benchmark -q -s $socket -n $(scaled 100000) -r 100000 -P 16 -c 20 -d 100 \
            -t set,get,incr,lpush,rpop,sadd,hset,zadd >/dev/null 2>&1 &&
            redis-cli -s $socket shutdown nosave" \
        redis-server --port 0 --unixsocket "$socket" --save "" --appendonly no
    real z3 z3 z3 "$scratch/z3.smt2"

    # Processes that hardly allocate: what a preloaded library costs each of them.
    row start start -n "$(scaled 800)" /bin/true
    # The size of the phase counts, and the second after it: neither gets less.
    row returned returned "$bin/bench_synthetic" returned 128
    # A figure of its own each, see tests/bench/memory.c.
    row returned worst-wait "$bin/bench_memory" worst-wait "$(scaled 2048)"
    row returned thread-ends "$bin/bench_memory" thread-ends "$(scaled 10000000)"
    row returned fork-child "$bin/bench_memory" fork-child "$(scaled 1024)"
    row returned survivors "$bin/bench_memory" survivors 200
    row returned idle "$bin/bench_memory" idle 200
    row returned large-churn "$bin/bench_memory" large-churn "$(scaled 400000)"
}

# What is too large, or too much the same, to be kept.
write_inputs() {
    local i
    awk -v functions="$(scaled 48)" -f "$here/real/gcc.awk" >"$scratch/gcc.c"
    for ((i = $(scaled 24); i > 0; i--)); do
        cat -- "$here/real/z3.smt2"
    done >"$scratch/z3.smt2"
}

# -- runs --

# One name for what malloc does in this run and the next: no options for any allocator, and the same
# hash functions.
fix_environment() {
    local name
    for name in "${!MM_@}" "${!MALLOC_@}" "${!MIMALLOC_@}" "${!TCMALLOC_@}" "${!SCUDO_@}" \
        GLIBC_TUNABLES LD_PRELOAD; do
        unset "$name"
    done
    export LC_ALL=C PYTHONMALLOC=malloc PYTHONHASHSEED=0 PERL_HASH_SEED=0
}

# run_once ROW ALLOCATOR LIBRARY - prints the line of bench_runner, and what the program measured.
run_once() {
    local arguments line option=() i
    eval "arguments=(${row_commands[$1]})"
    case $2 in
    *=*) option=("$2") ;;
    memcheck)
        for ((i = 0; i < ${#arguments[@]}; i++)); do
            [ "${arguments[i]}" = "${row_programs[$1]}" ] || continue
            arguments=(-t 1200 "${arguments[@]:0:i}" valgrind -q --log-file=/dev/null "${arguments[@]:i}")
            break
        done
        ;;
    esac
    if [ "$2" = glibc ]; then
        set -- "$1" "$2" "${row_glibcs[$1]}"
    fi
    line=$(env "${option[@]}" "$bin/bench_runner" ${3:+-l "$3"} -o "$scratch/stdout" "${arguments[@]}" \
        </dev/null 2>>"$log") || die "can't run ${arguments[*]}; see $log"
    printf '%s,%s\n' "$line" "$(sed -n 's/^metric //p' "$scratch/stdout")"
}

runs_of() {
    case $1 in
    # It waits more than it works, and repeats well.
    returned) printf '%s\n' $(((runs + 2) / 3)) ;;
    *) printf '%s\n' "$runs" ;;
    esac
}

run_row() {
    local i=$1 group=${row_groups[$1]} names=("${allocators[@]}") files=("${libraries[@]}")
    local run turn which count line
    if [ "$group" = start ]; then
        names+=(empty)
        files+=("$bin/libbench_empty.so")
    fi
    count=$(runs_of "$group")
    # Not counted: brings the program and what it reads into memory.
    run_once "$i" glibc "" >/dev/null
    for ((run = 1; run <= count; run++)); do
        [ ! -t 2 ] || printf '\r%s: run %d of %d \r' "${row_names[i]}" "$run" "$count" >&2
        for ((turn = 0; turn < ${#names[@]}; turn++)); do
            # Who begins changes.
            which=$(((turn + run - 1) % ${#names[@]}))
            line=$(run_once "$i" "${names[which]}" "${files[which]}")
            printf '%s,%s,%s,%d,%s\n' "${row_names[i]}" "$group" "${names[which]}" "$run" "$line" \
                >>"$csv"
        done
    done
}

package_version() {
    local package
    package=$(dpkg-query -S "*/$(basename -- "$1")" 2>/dev/null | sed -n '1s/: .*//p')
    [ -z "$package" ] || dpkg-query -W -f ', package version ${Version}' "$package"
}

version_of() {
    local option=--version
    case $1 in
    lua*) option=-v ;;
    esac
    "$1" "$option" 2>&1 | awk '/[0-9]/ { print substr($0, 1, 60); exit }'
}

describe_environment() {
    local i
    printf '%s, %d cores (%s), %d MiB of memory\n' "$(uname -srm)" "$(nproc)" \
        "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" \
        "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
    printf '%s; compiled by %s\n' "$(getconf GNU_LIBC_VERSION)" \
        "$(version_of "$(sed -n 's/^CMAKE_C_COMPILER:[^=]*=//p' "$work/CMakeCache.txt")")"
    printf 'huge pages: %s\n' \
        "$(cat /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || echo none)"
    printf 'mmshim: %s\n' "$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)"
    for ((i = 2; i < ${#allocators[@]}; i++)); do
        [ "${libraries[i]}" != "${libraries[1]}" ] && [ -n "${libraries[i]}" ] || continue
        printf '%s: %s%s\n' "${allocators[i]}" "$(basename -- "${libraries[i]}")" \
            "$(package_version "${libraries[i]}")"
    done
    for ((i = 0; i < ${#row_names[@]}; i++)); do
        [ "${row_groups[i]}" = real ] || continue
        printf '%s: %s\n' "${row_names[i]}" "$(version_of "${row_programs[i]}")"
    done
    [ -z "$checks" ] || ! found valgrind || printf 'memcheck: %s\n' "$(version_of valgrind)"
    printf '%d runs of %s of the work; load before: %s\n' "$runs" "1/$divisor" \
        "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

run_all() {
    local i name began
    declare_rows
    [ ${#row_names[@]} -gt 0 ] || die "no such row: $wanted"
    for name in "${skipped[@]}"; do
        say "skipped: $name"
    done
    configured_build "$work" -- mmshim bench_programs || die "the build failed"
    write_inputs
    describe_environment | sed 's/^/# /' >"$csv"
    echo "row,group,allocator,run,wall_s,cpu_s,maxrss_kib,minflt,status,metric" >>"$csv"
    : >"$log"
    for ((i = 0; i < ${#row_names[@]}; i++)); do
        began=$SECONDS
        run_row "$i"
        say "$((i + 1)) of ${#row_names[@]}: ${row_names[i]}, $((SECONDS - began)) s"
    done
    printf '# load after: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)" >>"$csv"
}

# -- what comes out --

show() {
    local caption
    rm -f -- "$work/bench.dat"
    awk -v clock="$clock" -v plot="$work/bench.dat" -f "$here/report.awk" -- "$csv" |
        tee -- "$work/bench.md"
    if [ ! -s "$work/bench.dat" ]; then
        say "no picture of these runs"
    elif ! found gnuplot; then
        say "no picture: needs gnuplot"
    elif [ "$(wc -l <"$work/bench.dat")" -gt 1 ]; then
        caption=$(sed -n '1s/^# //p' "$csv")
        gnuplot -e "data='$work/bench.dat'; output='$work/bench'; caption='${caption//\'/}'" \
            "$here/plot.gnuplot" >"$log" 2>&1 || say "no picture: see $log"
    fi
    say "in $work: bench.md, bench.svg, bench.png; the runs are in $csv"
    # A run that failed is a finding, too.
    ! grep -vE '^#|^row,|,ok,' -- "$csv" >/dev/null
}

count_instructions() {
    local i output
    found valgrind || die "needs valgrind"
    configured_build "$work" -- mmshim bench_programs || die "the build failed"
    for ((i = 0; i < ${#allocators[@]}; i++)); do
        if output=$("$here/instructions.sh" "$bin/bench_synthetic" "${libraries[i]}" 2>"$log"); then
            printf '%s %s\n' "${allocators[i]}" "$(awk '{ printf " %s %s", $1, $2 }' <<<"$output")"
        else
            say "skipped: ${allocators[i]} (does not run under valgrind; see $log)"
        fi
    done | awk '
        NR == 1 {
            printf "| %-10s |", "of a pair"
            rule = "|---|"
            for (i = 2; i < NF; i += 2) {
                printf " %10s |", $i
                rule = rule "--:|"
            }
            print "\n" rule
        }
        {
            printf "| %-10s |", $1
            for (i = 3; i <= NF; i += 2)
                printf " %10s |", $i
            print ""
        }'
}

# An eighth of a row's work is as little as still shows something.
divisor=1
runs=
wanted=.
clock=wall
mode=run
install=
checks=
extra=()

while [ $# -gt 0 ]; do
    case $1 in
    --quick) divisor=8 ;;
    --install-peers) install=yes ;;
    --checks) checks=yes ;;
    --instructions) mode=instructions ;;
    --runs | --rows | --peer | --clock | --csv | --table)
        [ $# -gt 1 ] || die "$1 needs a value (see --help)"
        case $1 in
        --runs) runs=$2 ;;
        --rows) wanted=$2 ;;
        --peer) extra+=("$2") ;;
        --clock) clock=$2 ;;
        --csv) csv=$2 ;;
        --table) mode=table csv=$2 ;;
        esac
        shift
        ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' -- "$0"
        exit
        ;;
    *) die "no such option: $1 (see --help)" ;;
    esac
    shift
done
[ -n "$runs" ] || runs=$((divisor > 1 ? 3 : 5))
[[ $runs =~ ^[1-9][0-9]*$ ]] || die "--runs: not a number of runs: $runs"
[[ $clock =~ ^(wall|cpu)$ ]] || die "--clock: wall or cpu, not $clock"

mkdir -p -- "$work"
if [ "$mode" = table ]; then
    [ -e "$csv" ] || die "no such file: $csv"
    show
    exit
fi

need_build_tools
[ -z "$install" ] || install_peers
if [ -n "$checks" ]; then
    add_checks
else
    add_peers
fi
for peer in "${extra[@]}"; do
    add_allocator "${peer%%=*}" "${peer#*=}"
done
for library in "${libraries[@]}"; do
    [[ $library != *[:\ ]* ]] || die "LD_PRELOAD can't hold a path with a space or a colon: $library"
done
fix_environment
if [ "$mode" = instructions ]; then
    count_instructions
    exit
fi
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
run_all
show
