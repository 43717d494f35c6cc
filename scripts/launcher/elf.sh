# ---- an ELF file, read with nothing but od, tail and head ----
#
# elf_open reads one file's headers into the elf_* variables; the other functions are about that file. A file
# that lies about itself makes a function fail or find nothing; none runs on past the end of the file.

readonly pt_load=1 pt_dynamic=2 pt_interp=3 pt_note=4
readonly dt_hash=4 dt_strtab=5 dt_symtab=6 dt_gnu_hash=$((0x6ffffef5))
readonly nt_gnu_build_id=3

# elf_read OFFSET COUNT - bytes of the file, as numbers; fails where it has fewer.
elf_read() {
    elf_bytes=()
    [[ $1 -ge 0 && $2 -gt 0 && $2 -le 65536 ]] || return
    read -r -d '' -a elf_bytes < <(od -An -v -tu1 -j "$1" -N "$2" -- "$elf_file" 2>/dev/null) || true
    [ ${#elf_bytes[@]} -eq "$2" ]
}

# elf_number INDEX WIDTH - sets `number` from what elf_read got.
elf_number() {
    local i
    number=0
    for ((i = 0; i < $2; i++)); do
        if [ -n "$elf_big_endian" ]; then
            number=$((number << 8 | elf_bytes[$1 + i]))
        else
            number=$((number | elf_bytes[$1 + i] << 8 * i))
        fi
    done
}

# elf_number_at OFFSET WIDTH - the same straight from the file.
elf_number_at() {
    elf_read "$1" "$2" && elf_number 0 "$2"
}

# elf_text_at OFFSET - sets `text` to the string there.
elf_text_at() {
    IFS= read -r -d '' text < <(tail -c "+$(($1 + 1))" -- "$elf_file" 2>/dev/null | head -c 4096)
}

# elf_open_header FILE - sets elf_class (1: 32 bits, 2: 64) and elf_machine.
elf_open_header() {
    elf_file=$1 elf_big_endian=
    elf_read 0 64 && [ "${elf_bytes[*]:0:4}" = "127 69 76 70" ] || return
    elf_class=${elf_bytes[4]} elf_word=$((elf_bytes[4] * 4))
    [ "${elf_bytes[5]}" -ne 2 ] || elf_big_endian=yes
    elf_number 18 2
    elf_machine=$number
}

# elf_open FILE - sets elf_interpreter as well ("" without one), and for the functions below elf_loads and
# elf_notes ("address offset size" each) and elf_dynamic (value by tag).
elf_open() {
    local offset entry count
    elf_interpreter='' elf_loads=() elf_notes=() elf_dynamic=()
    elf_open_header "$1" || return
    elf_number $((elf_class == 2 ? 32 : 28)) "$elf_word"
    offset=$number
    elf_number $((elf_class == 2 ? 54 : 42)) 2
    entry=$number
    elf_number $((elf_class == 2 ? 56 : 44)) 2
    count=$number
    elf_read "$offset" $((entry * count)) && elf_read_segments "$entry" "$count"
}

# elf_read_segments ENTRY_SIZE COUNT - from the program headers that elf_read got.
elf_read_segments() {
    local i type address offset size dynamic='' interpreter=''
    for ((i = 0; i < $1 * $2; i += $1)); do
        elf_number "$i" 4
        type=$number
        elf_number $((i + elf_word)) "$elf_word"
        offset=$number
        elf_number $((i + 2 * elf_word)) "$elf_word"
        address=$number
        elf_number $((i + 4 * elf_word)) "$elf_word"
        size=$number
        # Debugging information that stands by itself has the headers of what it was taken from, and nothing
        # where they point to.
        [ "$size" -gt 0 ] || type=
        case $type in
        "$pt_load") elf_loads+=("$address $offset $size") ;;
        "$pt_note") elf_notes+=("$address $offset $size") ;;
        "$pt_dynamic") dynamic="$offset $size" ;;
        "$pt_interp") interpreter=$offset ;;
        esac
    done
    if [ -n "$interpreter" ]; then
        elf_text_at "$interpreter" || return
        elf_interpreter=$text
    fi
    # shellcheck disable=SC2086 # two words
    [ -z "$dynamic" ] || elf_read_dynamic $dynamic
}

# elf_read_dynamic OFFSET SIZE
elf_read_dynamic() {
    local i tag
    elf_read "$1" "$2" || return
    for ((i = 0; i + 2 * elf_word <= $2; i += 2 * elf_word)); do
        elf_number "$i" "$elf_word"
        tag=$number
        elf_number $((i + elf_word)) "$elf_word"
        case $tag in
        "$dt_hash" | "$dt_strtab" | "$dt_symtab" | "$dt_gnu_hash") elf_dynamic[tag]=$number ;;
        esac
    done
}

# elf_offset_of ADDRESS - sets `offset`: where the file has what is loaded there.
elf_offset_of() {
    local start at size load
    for load in "${elf_loads[@]}"; do
        read -r start at size <<<"$load"
        offset=$(($1 - start + at))
        [[ $1 -lt $start || $1 -ge $((start + size)) ]] || return 0
    done
    return 1
}

# elf_defines NAME - looks it up as the dynamic linker does: does the file define this name for others?
elf_defines() {
    local symbol
    [[ -n ${elf_dynamic[dt_strtab]-} && -n ${elf_dynamic[dt_symtab]-} ]] || return
    if [ -n "${elf_dynamic[dt_gnu_hash]-}" ]; then
        elf_find_by_gnu_hash "$1"
    elif [ -n "${elf_dynamic[dt_hash]-}" ]; then
        elf_find_by_hash "$1"
    else
        return 1
    fi
}

# elf_find_by_gnu_hash NAME - the table: bucket count, number of the first symbol, words of the bloom
# filter and a shift; the filter; the buckets; then a hash for each symbol, odd at the end of a chain.
elf_find_by_gnu_hash() {
    local i hash=5381 table buckets first symbol
    for ((i = 0; i < ${#1}; i++)); do
        printf -v number %d "'${1:i:1}"
        hash=$(((hash * 33 + number) & 0xffffffff))
    done
    elf_offset_of "${elf_dynamic[dt_gnu_hash]}" && table=$offset && elf_read "$table" 16 || return
    elf_number 0 4
    buckets=$number
    elf_number 4 4
    first=$number
    elf_number 8 4
    table=$((table + 16 + number * elf_word))
    [ "$buckets" -gt 0 ] && elf_number_at $((table + hash % buckets * 4)) 4 || return
    table=$((table + buckets * 4))
    for ((symbol = number; symbol >= first; symbol++)); do
        elf_number_at $((table + (symbol - first) * 4)) 4 || return
        i=$number
        if [ $((i | 1)) -eq $((hash | 1)) ] && elf_symbol_is "$symbol" "$1"; then
            return
        fi
        [ $((i & 1)) -eq 0 ] || return
    done
    return 1
}

# elf_find_by_hash NAME - the table: bucket count, chain count, the buckets, for each symbol the next one.
elf_find_by_hash() {
    local i hash=0 table buckets steps
    for ((i = 0; i < ${#1}; i++)); do
        printf -v number %d "'${1:i:1}"
        hash=$(((hash << 4) + number))
        hash=$(((hash ^ (hash >> 24 & 0xf0)) & 0xfffffff))
    done
    elf_offset_of "${elf_dynamic[dt_hash]}" && table=$offset && elf_read "$table" 8 || return
    elf_number 0 4
    buckets=$number
    elf_number 4 4
    steps=$number
    [ "$buckets" -gt 0 ] && elf_number_at $((table + 8 + hash % buckets * 4)) 4 || return
    for (( ; number != 0 && steps > 0; steps--)); do
        i=$number
        ! elf_symbol_is "$i" "$1" || return 0
        elf_number_at $((table + 8 + (buckets + i) * 4)) 4 || return
    done
    return 1
}

# elf_symbol_is NUMBER NAME - is that symbol of this name, and defined here?
elf_symbol_is() {
    local size=$((elf_class == 2 ? 24 : 16))
    elf_offset_of "${elf_dynamic[dt_symtab]}" && elf_read $((offset + $1 * size)) "$size" || return
    elf_number $((elf_class == 2 ? 6 : 14)) 2
    [ "$number" -ne 0 ] || return
    elf_number 0 4
    elf_offset_of $((elf_dynamic[dt_strtab] + number)) && elf_text_at "$offset" && [ "$text" = "$2" ]
}

# elf_build_id - sets `build_id` to its hexadecimal digits.
elf_build_id() {
    local note at end name description
    for note in "${elf_notes[@]}"; do
        read -r _ at end <<<"$note"
        for ((end += at; at + 12 < end; at += 12 + (name + 3 & ~3) + (description + 3 & ~3))); do
            elf_read "$at" 12 || return
            elf_number 0 4
            name=$number
            elf_number 4 4
            description=$number
            elf_number 8 4
            [[ $number -eq $nt_gnu_build_id && $name -eq 4 ]] || continue
            elf_read $((at + 16)) "$description" || return
            printf -v build_id %02x "${elf_bytes[@]}"
            return 0
        done
    done
    return 1
}
