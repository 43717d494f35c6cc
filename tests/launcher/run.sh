#!/usr/bin/env bash
# run.sh LAUNCHER PLANTED SHIM - a program is run as it would be without the launcher, but for the shim.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
planted=$2 shim=$3 bounds=${3%/*}/libmmshim_bounds.so
table=$(realpath -- "$(dirname -- "$0")/../../src/entry/options.def")
cd "$work"

# ---- arguments, standard streams, exit status, signals ----

runs 0 "$mmshim" printf '<%s>' 'a b' '' "it's" '*' $'two\nlines' --snapshot=1 -- "\$HOME"
[ "$(cat stdout)" = "<a b><><it's><*><two"$'\n'"lines><--snapshot=1><--><\$HOME>" ] || fail "arguments: $(cat stdout)"
silent stderr
printf 'in' | runs 0 "$mmshim" cat
[ "$(cat stdout)" = in ] || fail 'stdin did not arrive'
runs 17 "$mmshim" sh -c 'exit 17'
runs 3 "$mmshim" -- "$planted" without
runs 0 env -i "$mmshim" true # without PATH
cp "$(type -P true)" only-here
runs 0 env PATH=/nowhere: "$mmshim" only-here
runs 127 env PATH=/nowhere "$mmshim" only-here
runs 143 "$mmshim" sh -c 'kill -TERM $$'

# The program is the process that was started, so that a signal to it arrives.
"$mmshim" sh -c 'trap "exit 9" USR1; echo $$; while :; do sleep 0.1; done' >pid 2>&1 &
started=$!
while [ ! -s pid ]; do sleep 0.05; done
[ "$(cat pid)" = "$started" ] || fail "the program is process $(cat pid), not $started"
kill -USR1 "$started"
status=0
wait "$started" || status=$?
[ "$status" -eq 9 ] || fail "status $status after a signal"

# What is ignored stays ignored.
(trap '' HUP && runs 0 "$mmshim" sh -c 'kill -HUP $$; exit 0')

# ---- the environment ----

runs 0 env -i PATH="$PATH" "$mmshim" env
says stdout "^LD_PRELOAD=$shim:$bounds\$" '^MM_EXITCODE=99$'
# The library of bounds belongs to MM_DEBUG.
runs 0 "$mmshim" --no-bounds env
says stdout "^LD_PRELOAD=$shim\$" '^MM_DEBUG=1$'
runs 0 env MM_DEBUG=0 "$mmshim" env
says stdout "^LD_PRELOAD=$shim\$"
runs 0 env LD_PRELOAD="$bounds:libc.so.6" "$mmshim" --debug=0 env
says stdout "^LD_PRELOAD=$shim:libc.so.6\$"
runs 0 env LD_PRELOAD=libc.so.6 MM_EXITCODE=5 "$mmshim" --max-reports=7 env
says stdout "^LD_PRELOAD=$shim:$bounds:libc.so.6\$" '^MM_EXITCODE=5$' '^MM_MAX_REPORTS=7$'
runs 0 env MM_EXITCODE= "$mmshim" --on-error=abort --slot-max=1K env
says stdout '^MM_EXITCODE=$' '^MM_ON_ERROR=abort$' '^MM_SLOT_MAX=1K$'

# ---- the shim takes effect, is found in a build and in an installed tree ----

runs 99 "$mmshim" "$planted"
says stderr 'ERROR: mmshim: double-free of '
runs 0 "$mmshim" --exitcode=0 "$planted"
runs 3 "$mmshim" "$planted" without the bug
silent stderr
for lib in lib lib64 "lib/$HOSTTYPE-linux-gnu"; do
    mkdir -p "$lib.prefix/bin" "$lib.prefix/$lib"
    cp "$mmshim" "$lib.prefix/bin/"
    cp "$shim" "$lib.prefix/$lib/"
    runs 0 "$lib.prefix/bin/mmshim" env
    says stdout "^LD_PRELOAD=$PWD/$lib.prefix/$lib/libmmshim.so\$"
done
ln -s lib.prefix/bin/mmshim link
runs 0 ./link env
says stdout "^LD_PRELOAD=$PWD/lib.prefix/lib/libmmshim.so\$"
mkdir 'a space'
cp "$mmshim" "$shim" 'a space'
runs 125 'a space/mmshim' true
says stderr "can't hold a path with a space"
# By a link without one, it can.
mkdir plain
cp "$mmshim" plain
ln -s "$PWD/a space/libmmshim.so" plain
runs 0 plain/mmshim env
says stdout "^LD_PRELOAD=$PWD/plain/libmmshim.so\$"
# shellcheck disable=SC2016 # of the dynamic linker
for folder in 'co:lon' '$ORIGIN'; do
    mkdir "$folder"
    cp "$mmshim" "$shim" "$folder"
    runs 125 "$folder/mmshim" true
    says stderr "can't hold a path"
done
# What is preloaded besides keeps its order.
runs 0 env LD_PRELOAD="libm.so.6 libc.so.6:libpthread.so.0" "$mmshim" env
says stdout "^LD_PRELOAD=$shim:$bounds:libm.so.6 libc.so.6:libpthread.so.0\$"

# ---- children ----

runs 99 "$mmshim" sh -c "'$planted' 2>&1; exit \$?"
says stdout double-free
runs 0 "$mmshim" --no-children sh -c "env; grep -q libmmshim /proc/\$\$/maps && ! grep -q libmmshim /proc/self/maps"
! grep -q '^LD_PRELOAD' stdout || fail "the child's environment: $(grep ^LD_PRELOAD stdout)"
for others in libc.so.6 libc.so.6:libm.so.6; do
    runs 0 env LD_PRELOAD="$others" "$mmshim" --no-children env
    says stdout "^LD_PRELOAD=$others\$"
    runs 0 env LD_PRELOAD="$others $shim" MM_CHILDREN=0 sh -c 'tr "\0" "\n" </proc/$$/environ; :'
    says stdout "^LD_PRELOAD=$others\$"
done
runs 0 env LD_PRELOAD="$bounds:libm.so.6:$shim:libc.so.6:./libmmshim.so" MM_CHILDREN=0 sh -c 'env; :'
says stdout '^LD_PRELOAD=libm.so.6:libc.so.6$'

# ---- what is wrong is said, and nothing is run ----

runs 125 "$mmshim"
says stderr 'no program'
runs 125 "$mmshim" --check
says stderr 'takes a program'
mkdir empty
cp "$mmshim" empty
installed=$(compgen -G '/usr/lib*/libmmshim.so' || compgen -G '/usr/lib/*/libmmshim.so' ||
    compgen -G '/usr/local/lib*/libmmshim.so' || compgen -G '/usr/local/lib/*/libmmshim.so' || true)
[ -n "$installed" ] || runs 125 empty/mmshim true
for bad in --nonsense --no-such=1 --Max-Reports=1 --snapshot -x; do
    runs 125 "$mmshim" "$bad" touch ran
    says stderr "$bad|${bad%%=*}"
done
for bad in --max-reports= --max-reports=x --max-reports=-1 --max-reports=3K --exitcode=256 --batch-slots=0 \
    --on-error=foo '--on-error=report, abort' --slot-max=1M --arena-size=99999999999999999999 --slot-max=4k; do
    runs 125 "$mmshim" "$bad" touch ran
    says stderr "^mmshim: $bad: takes "
done
runs 127 "$mmshim" no-such-program
says stderr 'no-such-program: not found'
runs 127 "$mmshim" ./no-such-program
: >no-program
runs 126 "$mmshim" ./no-program
says stderr 'not executable'
runs 126 "$mmshim" "$work"
[ ! -e ran ] || fail 'ran a program all the same'

# ---- help: every option of the table, and what is promised besides ----

runs 0 "$mmshim" --help
while read -r name; do
    flag=--${name,,}
    says stdout "^  ${flag//_/-}="
done < <(sed -n 's/^OPTION(\([A-Z_]*\),.*/\1/p' "$table")
says stdout '--no-children' '--check' 'symbolize' 'sarif'
for command in '-h' '--check --help' 'symbolize --help' 'sarif --help' 'report --help' '--gdb --help' '--tree=x --help' \
    'symbolize -h' 'sarif -h' 'report -h'; do
    # shellcheck disable=SC2086 # two words
    runs 0 "$mmshim" $command
    says stdout '^Usage: mmshim'
    silent stderr
    # shellcheck disable=SC2016,SC2086 # of sh; two words
    runs 125 sh -c '"$@" >/dev/full' sh "$mmshim" $command
    says stderr "can't write: No space left on device"
done
runs 0 "$mmshim" --version
says stdout '^mmshim [0-9]+\.[0-9]+\.[0-9]+$'
