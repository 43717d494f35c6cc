#!/usr/bin/env bash
# options.sh [--check | --list] - puts the option table of src/entry/options.def into the README; with --check,
# only tells whether it is there as it should be. --list prints it for other scripts, an option a line:
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
                values = values " bytes; K, M, G"
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

table() {
    printf '| option | default | values | meaning |\n| --- | --- | --- | --- |\n'
    list | awk -F '|' '{ print "| `" $1 "` | " $5 " | " $6 " | " $7 " |" }'
}

# The README with the table between its two marks.
updated() {
    table | awk '
        NR == FNR { table = table $0 "\n"; next }
        /^<!-- end of options/ { inside = 0 }
        !inside { print }
        /^<!-- options:/ { printf "%s", table; inside = 1 }' - "$readme"
}

case ${1-} in
--check) diff -u --label "README.md" --label "from src/entry/options.def" "$readme" <(updated) ;;
--list) list ;;
*)
    new=$(updated)
    printf '%s\n' "$new" >"$readme"
    ;;
esac
