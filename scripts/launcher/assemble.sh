#!/usr/bin/env bash
# assemble.sh VERSION - prints the launcher: one file that needs nothing but its libmmshim.so.
set -euo pipefail
here=$(dirname -- "$0")

# quoted NAME <TEXT - sets a variable to a text, which stands as it is.
quoted() {
    printf "IFS= read -r -d '' %s <<'END' || true\n" "$1"
    cat
    printf 'END\nreadonly %s\n\n' "$1"
}

cat <<'END'
#!/usr/bin/env bash
# mmshim - runs a program under libmmshim.so, says whether that works, and makes more of the reports: see
# mmshim --help. Put together from scripts/launcher/ when mmshim is built.
set -euo pipefail

END
printf 'readonly version=%q\n' "$1"
"$here/../options.sh" --list | quoted options
quoted sarif_jq <"$here/sarif.jq"
for part in options elf check symbolize sarif main; do
    cat -- "$here/$part.sh"
    printf '\n'
done
