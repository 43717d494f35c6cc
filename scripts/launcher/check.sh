# ---- --check: will the shim take effect in a program, and why not? ----
#
# A function that judges returns takes_effect, no_effect or cant_tell, and but for the first sets `reason`.
# What is worth knowing besides is added to `notes`.

readonly takes_effect=0 no_effect=1 cant_tell=2
notes=()

# no REASON, unsure REASON - how a judgement ends.
no() {
    reason=$1
    return $no_effect
}

unsure() {
    reason=$1
    return $cant_tell
}

# find_program NAME - sets `program` to the path that a shell would run, following the #! lines of scripts to
# the interpreter, which is the process that the shim is loaded into.
find_program() {
    local name=$1 depth
    for ((depth = 0; depth < 5; depth++)); do
        case $name in
        */*) program=$name ;;
        *) program=$(type -P -- "$name") || no "$name is not in PATH" || return ;;
        esac
        [ -e "$program" ] || no "$program is not there" || return
        [ ! -d "$program" ] || no "$program is a directory" || return
        [ -x "$program" ] || no "$program is not executable" || return
        [ -r "$program" ] || unsure "$program is not readable" || return
        interpreter_of "$program" || return 0
        notes+=("$program is a script for $name; what it starts in turn is judged by itself")
    done
    no "$program: too many scripts that run each other"
}

# interpreter_of FILE - sets `name` to what runs this script; fails for anything else.
interpreter_of() {
    local line words=()
    IFS= read -r line < <(head -c 256 -- "$1" | tr -d '\0') || true
    case $line in
    '#!'*) read -r -a words <<<"${line#'#!'}" ;;
    $'\177ELF'*) return 1 ;;
    *)
        # Shells and execvp() hand other text to /bin/sh.
        [ "$(head -c 256 -- "$1" | tr -d '\0' | wc -c)" -eq "$(head -c 256 -- "$1" | wc -c)" ] || return
        words=(/bin/sh)
        ;;
    esac
    name=${words[0]-}
    case $name in
    */env)
        words=("${words[@]:1}")
        while [[ ${words[0]-} == -* || ${words[0]-} == *=* ]]; do
            words=("${words[@]:1}")
        done
        name=${words[0]-}
        ;;
    esac
    [ -n "$name" ]
}

machine_name() {
    case $1:$2 in
    1:3) echo 'i386 (32 bits)' ;;
    1:62) echo 'x32' ;;
    1:40) echo 'ARM (32 bits)' ;;
    2:62) echo 'x86-64' ;;
    2:183) echo 'aarch64' ;;
    2:243) echo 'RISC-V (64 bits)' ;;
    2:21) echo 'ppc64' ;;
    ?:22) echo 's390' ;;
    *) echo "machine $2, $(($1 * 32)) bits" ;;
    esac
}

# judge_machine FILE - the shim is for one architecture. Leaves FILE open for what comes next.
judge_machine() {
    local shim_class shim_machine
    elf_open_header "$shim" || unsure "$shim is no ELF file" || return
    shim_class=$elf_class shim_machine=$elf_machine
    elf_open "$1" || unsure "$1 is neither an ELF file nor a script" || return
    [ "$elf_class:$elf_machine" = "$shim_class:$shim_machine" ] ||
        no "it is for $(machine_name "$elf_class" "$elf_machine"), \
the shim for $(machine_name "$shim_class" "$shim_machine")"
}

judge_dynamic_linker() {
    case ${elf_interpreter##*/} in
    '') no 'statically linked: no dynamic linker that could load the shim' || return ;;
    ld-linux*.so.* | ld64.so.* | ld.so.*) ;;
    ld-musl-*) no "its libc is musl ($elf_interpreter), the shim is for glibc" || return ;;
    ld-uClibc*) no "its libc is uClibc ($elf_interpreter), the shim is for glibc" || return ;;
    linker | linker64) no "its libc is Android's ($elf_interpreter), the shim is for glibc" || return ;;
    *) unsure "unknown dynamic linker: $elf_interpreter" || return ;;
    esac
    [ -x "$elf_interpreter" ] || no "its dynamic linker is not there: $elf_interpreter"
}

# allocator_of_open_file - names whose malloc the open file defines, by what else that one defines.
allocator_of_open_file() {
    local pair
    for pair in __asan_init:AddressSanitizer __hwasan_init:HWAddressSanitizer __tsan_init:ThreadSanitizer \
        __msan_init:MemorySanitizer __lsan_init:LeakSanitizer mallocx:jemalloc je_mallocx:jemalloc \
        tc_malloc:tcmalloc mi_malloc:mimalloc rpmalloc:rpmalloc __scudo_get_error_info_addr:scudo; do
        if elf_defines "${pair%%:*}"; then
            printf '%s\n' "${pair#*:}"
            return
        fi
    done
    printf 'one of its own\n'
}

# What the program itself defines comes before what is preloaded.
judge_own_malloc() {
    local name
    elf_defines malloc || elf_defines free || return 0
    name=$(allocator_of_open_file)
    case $name in
    *Sanitizer) no "it is built with $name, whose runtime is its malloc" ;;
    'one of its own') no "it defines malloc itself, before any preloaded one" ;;
    *) no "it brings its own malloc, $name, before any preloaded one" ;;
    esac
}

# The dynamic linker takes no preload by path where a program runs with rights that its caller hasn't.
# Whose rights they are is seen from here: set-user-ID root changes nothing for root.
judge_privilege() {
    if [ -u "$1" ] && [ "$(stat -L -c %u -- "$1")" -ne "$UID" ]; then
        no 'set-user-ID: it runs with the rights of another user' || return
    fi
    if [ -g "$1" ] && [ "$(stat -L -c %g -- "$1")" -ne "$(id -g)" ]; then
        no 'set-group-ID: it runs with the rights of another group' || return
    fi
    if [ -u "$1" ] || [ -g "$1" ]; then
        notes+=('set-user-ID or set-group-ID: takes effect for its owner alone')
    fi
    judge_capabilities "$1"
}

judge_capabilities() {
    local getcap
    if ! getcap=$(PATH=$PATH:/usr/sbin:/sbin type -P getcap); then
        [ "$UID" -eq 0 ] || notes+=('file capabilities not looked at: getcap is not installed')
    elif [ -n "$("$getcap" -- "$1" 2>/dev/null)" ]; then
        [ "$UID" -eq 0 ] || no 'file capabilities: it runs with rights that its caller has not' || return
        notes+=('file capabilities: takes effect for root alone')
    fi
}

# judge_program NAME - all that needs no look at libraries.
judge_program() {
    find_program "$1" && judge_machine "$program" && judge_dynamic_linker && judge_own_malloc &&
        judge_privilege "$program"
}

# judge_libraries FILE - asks its dynamic linker, which runs nothing of the program, for what it would load.
judge_libraries() {
    local line library list interpreter=$elf_interpreter
    # By its real path: where libraries lie may be told relative to that.
    list=$(LD_PRELOAD=$shim "$interpreter" --list "$(readlink -f -- "$1")" 2>&1) ||
        unsure "its dynamic linker says: ${list%%$'\n'*}" || return
    while IFS= read -r line; do
        case $line in
        *"=> not found"*) unsure "it can't start: ${line#$'\t'}" || return ;;
        *"$shim"*'cannot be preloaded'*) no "its dynamic linker says: $line" || return ;;
        esac
        library=${line#*=> }
        library=${library#$'\t'}
        library=${library% (0x*}
        case ${library##*/} in
        libc.so.6 | ld*.so.* | libmmshim.so | linux-*) ;;
        *) judge_library "$library" || return ;;
        esac
    done <<<"$list"
    [[ $list == *"$shim (0x"* ]] || no "its dynamic linker, $interpreter, leaves the shim out"
}

judge_library() {
    local name
    [ -e "$1" ] && elf_open "$1" && elf_defines malloc || return 0
    name=$(allocator_of_open_file)
    case $name in
    *Sanitizer) no "it is linked with $name's runtime (${1##*/}), which must come first" || return ;;
    'one of its own') name=malloc ;;
    esac
    notes+=("${1##*/} has a malloc as well; the shim comes before it, and hands large blocks on to it")
    [ "$name" = malloc ] ||
        notes+=("blocks that the program gets by names of $name's own must not be given to free")
}

check() {
    local verdict=0
    { judge_program "$1" && judge_libraries "$program"; } || verdict=$?
    case $verdict in
    "$takes_effect") printf '%s: the shim takes effect\n' "$1" ;;
    "$no_effect") printf '%s: the shim has no effect: %s\n' "$1" "$reason" ;;
    *) printf "%s: can't tell: %s\n" "$1" "$reason" ;;
    esac
    [ ${#notes[@]} -eq 0 ] || printf '    %s\n' "${notes[@]}"
    return $verdict
}
