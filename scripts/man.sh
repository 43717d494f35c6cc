#!/usr/bin/env bash
# man.sh VERSION NAME.SECTION - prints a man page: scripts/man/NAME.SECTION.in, where a line of @WORDS@ stands
# for what the table of options or the public header says.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

version=$1 page=$2
header=$root/include/memory_manager.h

# Text for roff; an @ that begins a line is a request's dot.
roff_as_it_is() {
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/" -e 's/^@/./'
}

roff() {
    fold -s -w 76 | sed 's/ *$//' | roff_as_it_is
}

# options flag|variable - an entry for each option, named as the command line or as the environment does.
options() {
    "$root/scripts/options.sh" --list | awk -F '|' -v style="$1" '
        {
            name = $1
            if (style == "flag") {
                sub(/^MM_/, "--", name)
                gsub(/_/, "-", name)
                name = tolower(name)
            }
            value = $2 == "NUMBER" ? "N" : $2 == "CHOICE" ? "WORD" : $2 == "TEXT" ? toupper($6) : $2
            print "@TP\n@B " name "=" value
            print toupper(substr($7, 1, 1)) substr($7, 2) "."
            if ($2 != "TEXT")
                print "Values: " $6 "."
            print $5 == "-" ? "Not set by default." : "Default: " $5 "."
        }' | roff
}

# from_header names|synopsis|description|types|functions - the header's paragraphs: the first tells what the
# whole is about, one with a function says what it does above it, the others with code define types.
from_header() {
    awk -v RS= -v wanted="$1" '
        function text_of(comment) {
            gsub(/(^|\n)[\/ ]\*\/? ?/, "\n", comment)
            sub(/ *\*\/$/, "", comment)
            sub(/^\n+/, "", comment)
            gsub(/\n\n/, "\n@PP\n", comment)
            return comment
        }
        NR == 1 && wanted == "description" {
            sub(/[^\n]*\n/, "")
            sub(/\*\/.*/, "*/")
            print text_of($0)
        }
        /^\/\*.*\nMEM_MNGR_API / {
            end = index($0, "MEM_MNGR_API ")
            prototype = substr($0, end + 13)
            gsub(/\n */, " ", prototype)
            match(prototype, /mem_mngr_[a-z_]+\(/)
            name = substr(prototype, RSTART, RLENGTH - 1)
            if (wanted == "names")
                list = list ", " name
            if (wanted == "synopsis")
                print "@B " prototype
            if (wanted == "functions")
                print "@SS " name "()\n" text_of(substr($0, 1, end - 2))
            next
        }
        wanted == "types" && /(^|\n)(enum|struct|typedef) / {
            print (count++ ? "\n" : "") $0
        }
        END {
            if (wanted == "names")
                print "libmemory_manager" list " - a memory manager that reports every bad free"
        }' "$header"
}

date=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%d)
printf '.\\" Made by scripts/man.sh.\n.TH %s %s %s "mmshim %s"\n' \
    "$(tr '[:lower:]' '[:upper:]' <<<"${page%.*}")" "${page##*.}" "$date" "$version"
while IFS= read -r line; do
    case $line in
    @FLAGS@) options flag ;;
    @VARIABLES@) options variable ;;
    @NAMES@ | @SYNOPSIS@ | @DESCRIPTION@ | @FUNCTIONS@)
        line=${line//@/}
        from_header "${line,,}" | roff
        ;;
    @TYPES@) from_header types | roff_as_it_is ;;
    .*) printf '%s\n' "$line" ;;
    *) fold -s -w 79 <<<"$line" | sed -e 's/ *$//' -e "s/^\([.']\)/\\\\\&\1/" ;;
    esac
done <"$root/scripts/man/$page.in"
