#!/usr/bin/env bash
# completion.sh LAUNCHER - what bash offers behind a TAB, asked for as readline does.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
completion=$(realpath -- "$(dirname -- "$0")/../../scripts/launcher/completion.bash")
cd "$work"
mkdir some-folder
: >file
PATH=$PWD/bin:$PATH
mkdir bin
ln -s "$mmshim" bin/mmshim
ln -s /bin/true bin/only-this-program

# In a shell of its own, as completions are written for shells without set -u.
cat >ask.bash <<'END'
. "$1"
shift
compopt() { asked+="$* "; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) asked=
_mmshim
printf '%s\n' "asked: $asked" "${COMPREPLY[@]}"
complete -p mmshim
END

# complete_words WORD... - the last one is being written. What is offered is in $offered, what was asked of readline
# in $asked.
complete_words() {
    runs 0 bash ask.bash "$completion" "$@"
    says stdout '^complete -F _mmshim mmshim$'
    offered=$(sed '1d; $d' stdout | sort | tr '\n' ' ')
    asked=$(sed -n '1s/^asked: //p' stdout)
}

# offers EXPECTED WORD...
offers() {
    local expected=$1
    shift
    complete_words "$@"
    [ "${offered% }" = "$expected" ] || fail "offered for '$*': '$offered', not '$expected'"
}

offers '--snapshot-batches=' mmshim --snapshot-
[[ $asked == *nospace* ]] || fail 'a space would follow'
offers '--no-bounds --no-children' mmshim --no
offers '--check' mmshim --max-reports = 3 --che
offers 'abort exit report stop' mmshim --on-error =
offers 'abort' mmshim --on-error = a
offers '' mmshim --on-error = x
offers 'file' mmshim --max-reports = fil
offers 'only-this-program' mmshim only-this
offers 'only-this-program' mmshim --on-error = abort --no-children only-this
offers 'only-this-program' mmshim --check only-this
offers 'some-folder' mmshim some-f
offers 'sarif' mmshim sari
offers '--debug-dir=' mmshim symbolize --
offers 'some-folder' mmshim symbolize --debug-dir = some-
offers '--source-root=' mmshim sarif --so
offers '--junit' mmshim report --j
offers 'some-folder' mmshim report some-
offers 'some-folder' mmshim --tree = some-f

# Every option of the help is offered.
complete_words mmshim --
for flag in $("$mmshim" --help | grep -oE '^  --[a-z-]+=?'); do
    [[ " $offered" == *" $flag "* ]] || fail "not offered: $flag"
done

# Behind the program the line is the program's.
complete_words mmshim --on-error = abort ls --on-
[[ -z $(tr -d ' ' <<<"$offered") && $asked == *default* ]] || fail "offered for ls: $offered ($asked)"
