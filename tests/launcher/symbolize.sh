#!/usr/bin/env bash
# symbolize.sh LAUNCHER PLANTED SHIM - a log gets its lines after the fact, by each of the tools, by name and by
# build-id, and never from a file that is not the one that ran.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
here=$(realpath -- "$(dirname -- "$0")") planted=$2 shim=$3
needs readelf
cd "$work"
cp "$planted" program
build_id=$(readelf -n program | sed -n 's/.*Build ID: //p')
[ -n "$build_id" ] || { echo 'skipped: no build-ids here'; exit 77; }
source=$here/planted.c
at_fault=$(grep -n 'free(handle)' "$source" | cut -d : -f 1)
caller=$(grep -n 'line at fault' "$source" | cut -d : -f 1)

# The report of this very machine, but for libc's frames, once without build-ids and once with; with something else
# before and behind.
runs 3 env LD_PRELOAD="$shim" ./program
without_shim stderr | sed '/libc\.so/d; s/ (BuildId: [0-9a-f]*)$//' >plain.log
{ echo 'Jan 02 host: {'; sed "/^    #.*program+0x/s/\$/ (BuildId: $build_id)/" plain.log; echo 'and more'; } >log
awk -f "$here/sample.awk" log >log.jsonl

# lines_are_there - inlined functions have frames of their own, and the numbers go on behind them.
lines_are_there() {
    says stdout "^    #0 0x[0-9a-f]+ in drop $source:$at_fault \($PWD/program\+0x[0-9a-f]+\)( \(BuildId: $build_id\))?\$" \
        "^    #1 0x[0-9a-f]+ in close_handle $source:[0-9]+ \(" "^    #2 0x[0-9a-f]+ in main $source:$caller \(" \
        '^    #5 ' "^SUMMARY: mmshim: double-free $source:$at_fault in drop\$"
    [ "$(grep -c '^    #2 ' stdout)" -eq 1 ] || fail "frames numbered twice: $(cat stdout)"
}

# Nothing but the log's own frames changes.
unchanged() {
    diff <(sed -E 's/^(    #).*/\1/; s/^(SUMMARY: mmshim: [a-z-]*).*/\1/' "$1" | uniq) \
        <(sed -E 's/^(    #).*/\1/; s/^(SUMMARY: mmshim: [a-z-]*).*/\1/' stdout | uniq) || fail "other lines of $1 changed"
}

# ---- each tool by itself ----

tools=()
mkdir tools alone
cp "$mmshim" alone # where mmshim-symbolize isn't
alone=$PWD/alone/mmshim own=$(dirname "$mmshim")/../mmshim-symbolize
PATH=$PWD/tools runs 125 "$alone" symbolize <log
says stderr 'needs llvm-symbolizer, eu-addr2line or addr2line'
for tool in llvm-symbolizer eu-addr2line addr2line; do
    type -P "$tool" >/dev/null || { echo "skipped: no $tool here"; continue; }
    tools+=("$tool")
    ln -s "$(type -P "$tool")" "tools/$tool"
    for log in plain.log log; do
        PATH=$PWD/tools runs 0 "$alone" symbolize <"$log"
        lines_are_there
        unchanged "$log"
    done
    rm "tools/$tool"
done
[ ${#tools[@]} -gt 0 ] || exit 77

# ---- mmshim-symbolize, which is asked first: what it finds by itself, and where it doesn't start ----

no_tools=$PWD/no-tools
mkdir no-tools
if [ -x "$own" ]; then
    for log in plain.log log; do
        PATH=$no_tools runs 0 "$mmshim" symbolize <"$log"
        lines_are_there
        unchanged "$log"
    done
    cp program whole
    if type -P objcopy >/dev/null; then
        mkdir .debug
        objcopy --only-keep-debug program .debug/program.debug
        objcopy --strip-all --add-gnu-debuglink=.debug/program.debug program
        PATH=$no_tools runs 0 "$mmshim" symbolize <log
        lines_are_there
        rm -r .debug
        PATH=$no_tools runs 0 "$mmshim" symbolize <log
        ! grep -q "$source" stdout || fail "lines without debugging information: $(cat stdout)"
    fi
    # In what clang writes there is no .debug_aranges.
    if type -P clang >/dev/null; then
        clang -O2 -g -o program "$source"
        runs 3 env LD_PRELOAD="$shim" ./program
        without_shim stderr | sed '/libc\.so/d; s/ (BuildId: [0-9a-f]*)$//' >clang.log
        PATH=$no_tools runs 0 "$mmshim" symbolize <clang.log
        says stdout " in drop $source:$at_fault \(" " in close_handle $source:[0-9]+ \(" " in main $source:$caller \("
    fi
    # C++ by its whole names, split debugging information, and the symbol table alone.
    if type -P c++ nm >/dev/null; then
        echo 'namespace ns { template <class T> __attribute__((noinline)) T twice(T x) { return x + x; } }
            int main(int argc, char **) { return ns::twice(argc) - 2 * argc; }' >twice.cc
        for options in -g "-g -gsplit-dwarf" -g0; do
            # shellcheck disable=SC2086 # words
            c++ -O1 $options -o twice twice.cc
            printf '    #0 0x1 (%s/twice+0x%s)\n' "$PWD" "$(nm twice | sed -n 's/^0*\(.*\) [tTwW] _ZN2ns5twice.*/\1/p')" >twice.log
            PATH=$no_tools runs 0 "$mmshim" symbolize <twice.log
            place=" $PWD/twice.cc:[0-9]+"
            [ "$options" != -g0 ] || place=
            says stdout "^    #0 0x1 in int ns::twice<int>\(int\)$place \(/"
        done
    fi
    # By debuginfod, of a program that was stripped, or that isn't here.
    if type -P python3 objcopy >/dev/null && [ -e "$(dirname "$(ldd "$own" | sed -n 's/.*libdw.* => \(.*\) (.*/\1/p')")/libdebuginfod.so.1" ]; then
        mkdir -p "served/buildid/$build_id"
        cp whole "served/buildid/$build_id/executable"
        objcopy --only-keep-debug whole "served/buildid/$build_id/debuginfo"
        objcopy --strip-all whole program
        python3 -u -m http.server --bind 127.0.0.1 --directory served 0 >server.log 2>&1 &
        server=$!
        trap 'kill $server; rm -rf -- "$work"' EXIT
        until grep -q ' port [0-9]' server.log; do sleep 0.1; done
        urls=$(sed -n 's|.*(\(http://[^ ]*\)).*|\1|p' server.log)
        for round in 1 2; do
            PATH=$no_tools DEBUGINFOD_URLS=$urls DEBUGINFOD_CACHE_PATH=$PWD/cache$round runs 0 "$mmshim" symbolize <log
            lines_are_there
            silent stderr
            rm -f program
        done
        PATH=$no_tools DEBUGINFOD_URLS=$urls DEBUGINFOD_CACHE_PATH=$PWD/cache runs 0 "$mmshim" symbolize <<<"    #0 0x1 ($PWD/gone+0x1) (BuildId: 0123)"
        says stderr "$PWD/gone: no such file here with build-id 0123\$"
    else
        echo 'skipped: debuginfod (needs its library, python3 and objcopy)'
    fi
    runs 1 "$own" --nonsense
    says stderr '^usage: '
    runs 0 "$own" -a -e /nowhere 0x1 0x2
    [ "$(tr '\n' ' ' <stdout)" = '0x1 ?? ??:0 0x2 ?? ??:0 ' ] || fail "of a file that is not there: $(cat stdout)"
    mv whole program
else
    echo 'skipped: mmshim-symbolize (needs libdw)'
fi
printf '#!/bin/sh\nexit 127\n' >alone/mmshim-symbolize
chmod +x alone/mmshim-symbolize
runs 0 "$alone" symbolize <log
lines_are_there
PATH=$no_tools runs 125 "$alone" symbolize <log
says stderr 'needs llvm-symbolizer'

# ---- ten thousand frames are one question a module, each address in it once ----

cat >alone/mmshim-symbolize <<'END'
#!/bin/sh
echo "$*" >>"$ASKED"
while read -r address; do
    echo "$address" >>"$ASKED.addresses"
    printf '%s\nat_%s\n/file:7\n' "$address" "$address"
done
END
cp program other
awk -v folder="$PWD" 'BEGIN {
    for (i = 0; i < 10000; i++)
        printf "    #%d 0x7f00%05x (%s/%s+0x%x)\n", i % 20, i, folder, i % 3 ? "program" : "other", 4096 + i % 4000
}' >many.log
ASKED=$PWD/asked runs 0 "$alone" symbolize <many.log
[ "$(wc -l <asked)" -eq 2 ] || fail "more than one question a module: $(head asked)"
[[ $(wc -l <asked.addresses) -eq $(grep -o '(.*)' many.log | sort -u | wc -l) ]] ||
    fail "$(wc -l <asked.addresses) addresses asked about"
[ "$(grep -Ec '^    #[0-9]+ 0x7f00[0-9a-f]+ in at_(0x[0-9a-f]+) /file:7 \(/.*\+\1\)$' stdout)" -eq 10000 ] ||
    fail "frames without their answers: $(head -n 3 stdout)"
rm alone/mmshim-symbolize

# ---- what has its lines already stays as it is ----

runs 0 "$mmshim" symbolize <log
cp stdout done.log
runs 0 "$mmshim" symbolize <done.log
cmp stdout done.log || fail 'symbolizing twice changes something'
for text in '' 'no report' '{' '{"a": 1}' '    #0 0x12' '    #0 0x12 (/x)' 'SUMMARY: mmshim: double-free'; do
    runs 0 "$mmshim" symbolize <<<"$text"
    [ "$(cat stdout)" = "$text" ] || fail "not passed as it is: $text"
    silent stderr
done

# ---- modules that moved, or are not what ran ----

without_names() {
    diff <(grep 'program+0x' log) <(grep 'program+0x' stdout) || fail "names from a file that is not the one that ran"
}
mkdir -p moved/deep debug/.build-id/"${build_id:0:2}"
mv program moved/deep/renamed
runs 0 "$mmshim" symbolize <log
says stderr "$PWD/program: no such file here with build-id $build_id\$"
without_names
runs 0 "$mmshim" symbolize --debug-dir="$PWD/moved" <log
lines_are_there
cp "$(type -P true)" program
runs 0 "$mmshim" symbolize <log
says stderr 'no such file here with build-id'
without_names
if type -P objcopy >/dev/null; then
    objcopy --only-keep-debug moved/deep/renamed debug/.build-id/"${build_id:0:2}/${build_id:2}.debug"
    runs 0 "$mmshim" symbolize --debug-dir="$PWD/nothing" --debug-dir="$PWD/debug" <log
    lines_are_there
fi
cp moved/deep/renamed program

# ---- JSON ----

if type -P jq >/dev/null; then
    runs 0 "$mmshim" symbolize <log.jsonl
    jq -e -s --arg file "$source" --argjson line "$at_fault" --argjson caller "$caller" '
        def lines: .[0] == (.[0] + {function: "drop", $file, $line})
            and .[1] == (.[0] + {function: "close_handle"} + (.[1] | with_entries(select(.key | endswith("line"))))) and .[1].line > $line
            and .[2].function == "main" and .[2].line == $caller;
        length == 4 and (.[0].frames | lines) and (.[1] | (.frames, .freed.frames, .allocated.frames) | lines)
            and .[1].allocated.size == 40 and .[2].text == "a \"note\", é" and .[3].double_free == 1' stdout >/dev/null ||
        fail "JSON: $(cat stdout)"
    cat log log.jsonl >both
    runs 0 "$mmshim" symbolize <both
    lines_are_there
    [ "$(jq -R -s '[split("\n")[] | fromjson? | objects | select(.frames[0].line)] | length' stdout)" -eq 2 ] ||
        fail "text and JSON together: $(cat stdout)"
else
    echo 'skipped: JSON (needs jq)'
fi
# What is no line of a report, a NUL or no end of line, passes byte by byte.
printf 'a\0b\n    #0 0x12\0\nlast' >bytes
runs 0 "$mmshim" symbolize <bytes
cmp bytes stdout || fail 'other bytes'

runs 0 "$mmshim" symbolize --help
says stdout '--debug-dir=DIR'
runs 125 "$mmshim" symbolize log
says stderr 'from stdin'
