#!/usr/bin/env bash
# options.sh [--check | --list] - makes the README's rows of options say what src/entry/options.def does; with
# --check, only tells whether they do. --list prints it for other scripts, an option a line:
# MM_NAME|type|least|most|default|values|meaning.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

readme=$root/README.md

# The preprocessor reads the entries as the compiler does; an unset default shows as a dash.
entries() {
    {
        printf '#define OPTION(name, field, type, value, least, most, choices, help)'
        printf ' MM_##name @ type @ value @ least @ most @ choices @ help @ END\n'
        cat "$root/src/entry/options.def"
    } | "${CC:-cc}" -E -P -x c - | tr -d '"' | tr '\n' ' ' | sed 's/ *@ END */\n/g'
}

list() {
    entries | awk -F ' *@ *' '
        NF == 7 {
            name = $1; type = $2; value = $3; values = $4 " to " $5; help = $7
            sub(/^ */, "", name)
            if (type == "SIZE")
                values = values " bytes; also with K, M or G behind the number"
            if (type == "CHOICE") {
                values = $6
                value = $6
                sub(/,.*/, "", value)
            }
            if (type == "TEXT")
                values = $6
            sub(/^-1$/, "-", value)
            print name "|" type "|" $4 "|" $5 "|" value "|" values "|" help
        }'
}

# The README with the rows between its two marks as the parser has them. It shows the options that matter most,
# the man page all.
updated() {
    list | awk -F '|' '
        NR == FNR { row[$1] = "| `" $1 "` | " $5 " | " $6 " | " $7 " |"; next }
        /^<!-- end of options/ { inside = 0 }
        inside && /^\| `MM_/ {
            split($2, name, "`")
            $0 = name[2] in row ? row[name[2]] : "no such option: " name[2]
        }
        /^<!-- options:/ { inside = 1 }
        { print }' - "$readme"
}

case ${1-} in
--check) diff -u --label "README.md" --label "from src/entry/options.def" "$readme" <(updated) ;;
--list) list ;;
*)
    new=$(updated)
    printf '%s\n' "$new" >"$readme"
    ;;
esac
