# ---- symbolize: function, file and line for the frames of a log, from the modules on this machine ----
#
# The frames that lack a line are collected, a tool is asked about each module, and the answers are put into
# the log. Reports may be text or JSON, or both in turn; other lines pass as they are. Between the steps go
# files of fields separated by tabs, in the folder `work`:
#
#   frames    module, build-id ("" if the log has none), offset
#   answers   the same, and function, file, line ("" where unknown); first the innermost of inlined functions

debug_dirs=()

# Sets module, offset, build_id and symbol from what a text report says behind the address of a frame; false
# where a line is there already.
# shellcheck disable=SC2016 # awk's
readonly awk_read_place='
    function read_place(text) {
        build_id = ""
        if (match(text, / \(BuildId: [0-9a-f]+\)$/)) {
            build_id = substr(text, RSTART + 11, RLENGTH - 12)
            text = substr(text, 1, RSTART - 1)
        }
        if (!match(text, / \(\/.*\+0x[0-9a-f]+\)$/))
            return 0
        symbol = substr(text, 1, RSTART - 1)
        module = substr(text, RSTART + 2, RLENGTH - 3)
        match(module, /\+0x[0-9a-f]+$/)
        offset = substr(module, RSTART + 1)
        module = substr(module, 1, RSTART - 1)
        return symbol !~ /:[0-9]+$/
    }'
readonly frame_pattern='    #[0-9]+ 0x[0-9a-f]+'

frames_of_text() {
    awk -v frame="$frame_pattern" "$awk_read_place"'
        match($0, frame) && read_place(substr($0, RSTART + RLENGTH)) {
            print module "\t" build_id "\t" offset
        }' "$work/log"
}

frames_of_json() {
    jq -Rr '(try fromjson catch null) | objects | select(.mmshim == 1)
        | (.frames, .freed.frames, .allocated.frames)[]?
        | select(.module and .offset and (.line | not))
        | [.module, .build_id // "", .offset] | @tsv' "$work/log"
}

# has_build_id FILE BUILD_ID - any ELF file, where BUILD_ID is empty.
has_build_id() {
    [ -f "$1" ] && elf_open "$1" || return
    [ -z "$2" ] || { elf_build_id && [ "$build_id" = "$2" ]; }
}

# file_of MODULE BUILD_ID - prints the file to ask about a module: its debugging information by build-id, or
# itself where it is still the one that ran, or a file from the folders of --debug-dir.
file_of() {
    local file by_id=/.build-id/${2:0:2}/${2:2}.debug
    while IFS= read -r -d '' file; do
        ! has_build_id "$file" "$2" || { printf '%s\n' "$file"; return; }
    done < <(
        printf '%s\0' "${debug_dirs[@]/%/$by_id}" "/usr/lib/debug$by_id" "$1"
        [[ -z $2 || ${#debug_dirs[@]} -eq 0 ]] || find "${debug_dirs[@]}" -type f -print0
    )
    return 1
}

# find_symbolizer - sets `symbolizer` to the command that is asked. All three answer in GNU's style.
find_symbolizer() {
    for symbolizer in llvm-symbolizer eu-addr2line addr2line; do
        type -P "$symbolizer" >/dev/null || continue
        symbolizer=("$symbolizer" -a -f -i -C)
        [ "${symbolizer[0]}" != llvm-symbolizer ] || symbolizer+=(--output-style=GNU)
        return
    done
    die 'symbolize needs llvm-symbolizer, eu-addr2line or addr2line'
}

# ask FILE MODULE BUILD_ID - from offsets to answers. An answer is the offset in a line, and then two lines
# for each function that is there.
ask() {
    "${symbolizer[@]}" -e "$1" 2>/dev/null | place=$2$'\t'$3 awk '
        /^0x[0-9a-f]+$/ { sub(/^0x0*/, "0x"); offset = $0; is_place = 0; next }
        !is_place { sub(/ inlined at .*/, ""); name = $0; is_place = 1; next }
        {
            is_place = 0
            sub(/ \(discriminator [0-9]+\)$/, "")
            file = line = ""
            if (match($0, /:[1-9][0-9]*(:[0-9]+)?$/) && !/^\?\?/) {
                file = substr($0, 1, RSTART - 1)
                line = substr($0, RSTART + 1)
                sub(/:.*/, "", line)
            }
            if (name != "??")
                print ENVIRON["place"] "\t" offset "\t" name "\t" file "\t" line
        }'
}

answers() {
    local place module build_id file
    cut -f 1,2 "$work/frames" | sort -u | while IFS= read -r place; do
        module=${place%%$'\t'*} build_id=${place#*$'\t'}
        if file=$(file_of "$module" "$build_id"); then
            place=$place awk -F '\t' '$1 "\t" $2 == ENVIRON["place"] { print $3 }' "$work/frames" |
                ask "$file" "$module" "$build_id"
        else
            say "$module: no such file here${build_id:+ with build-id $build_id}"
        fi
    done
}

# A frame gets its place as "function file:line (module...)", and one frame more for each function that it is
# inlined in; the summary names the place the other way round.
text_with_answers() {
    awk -F '\t' -v frame="$frame_pattern" "$awk_read_place"'
        FILENAME == ARGV[1] {
            key = $1 "\t" $2 "\t" $3
            i = ++answers[key]
            name[key, i] = $4
            line[key, i] = $5 == "" ? "" : $5 ":" $6
            next
        }
        match($0, frame) {
            before = substr($0, 1, RSTART + 4)
            split(substr($0, RSTART + 5, RLENGTH - 5), part, " ")
            rest = substr($0, RSTART + RLENGTH)
            if (part[1] == 0)
                added = 0
            count = read_place(rest) ? answers[key = module "\t" build_id "\t" offset] : 0
            if (count == 0)
                print before part[1] + added " " part[2] rest
            for (i = 1; i <= count; i++) {
                place = line[key, i] == "" && symbol != "" ? symbol : " in " name[key, i]
                if (line[key, i] != "")
                    place = place " " line[key, i]
                print before part[1] + added + i - 1 " " part[2] place substr(rest, length(symbol) + 1)
            }
            if (count > 0) {
                added += count - 1
                key_of[module, offset] = key
            }
            next
        }
        match($0, /SUMMARY: mmshim: [a-z-]+/) {
            before = substr($0, 1, RSTART + RLENGTH - 1)
            if (read_place(substr($0, RSTART + RLENGTH))) {
                key = key_of[module, offset]
                if (line[key, 1] != "")
                    $0 = before " " line[key, 1] " in " name[key, 1]
            }
        }
        { print }' "$work/answers" "$work/log"
}

json_with_answers() {
    jq -Rr --rawfile answers "$work/answers" '
        ($answers | split("\n") | map(select(. != "") | split("\t"))
            | group_by(.[:3]) | map({key: .[0][:3] | join("\t"), value: .}) | from_entries) as $known
        | def with_line: if .line then . else
              . as $frame
              | ($known[[.module, .build_id // "", .offset] | join("\t")] // [null])[]
              | . as $answer
              | $frame
              | if $answer then .function = $answer[3] else . end
              | if $answer and $answer[4] != "" then
                    .file = $answer[4] | .line = ($answer[5] | tonumber)
                else . end
          end;
          def with_lines: if .frames then .frames |= map(with_line) else . end;
        . as $line | (try fromjson catch null)
        | if type == "object" and .mmshim == 1 then
              with_lines
              | if .freed then .freed |= with_lines else . end
              | if .allocated then .allocated |= with_lines else . end
              | tojson
          else $line end'
}

symbolize() {
    local argument
    for argument; do
        case $argument in
        --debug-dir=*) debug_dirs+=("${argument#*=}") ;;
        *) die "symbolize takes --debug-dir=DIR only, and the log from stdin: $argument" ;;
        esac
    done
    find_symbolizer
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    cat >"$work/log"
    frames_of_text >"$work/frames"
    ! grep -q '^{' "$work/log" || { need_jq symbolize && frames_of_json >>"$work/frames"; }
    sort -u -o "$work/frames" "$work/frames"
    answers >"$work/answers"
    text_with_answers >"$work/text"
    if grep -q '^{' "$work/log"; then
        json_with_answers <"$work/text"
    else
        cat "$work/text"
    fi
}
