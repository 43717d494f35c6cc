# ---- the command line ----

# What a developer wants to know, where the environment says nothing else.
readonly defaults=(STACKS=16 SYMBOLIZE=1 EXITCODE=99)

say() {
    printf 'mmshim: %s\n' "$*" >&2
}

# 125 to 127, as of env and timeout: the launcher failed, not the program.
die() {
    say "$*"
    exit 125
}

usage() {
    cat <<'END'
Usage: mmshim [option...] program [argument...]      run a program under libmmshim.so
       mmshim --check program                        say whether the shim takes effect in it
       mmshim symbolize [--debug-dir=DIR]... <log    add function, file and line to reports
       mmshim sarif [--source-root=DIR] <log.jsonl   turn JSON reports into SARIF 2.1.0

END
    printf 'Options; each is also a variable of the environment, --on-error=abort being MM_ON_ERROR=abort:\n'
    option_help
    cat <<'END'
  --no-children
        the same as --children=0
  --check, --help, --version
        and run nothing

END
    printf 'Set where you do not set them:'
    printf ' MM_%s' "${defaults[@]}"
    printf '\n'
}

# find_shim - sets `shim`: beside this script, above it in a build directory, in the lib folder of the same
# prefix, or where libraries are.
find_shim() {
    local here candidate
    here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
    for candidate in "$here" "$here/.." {"$here/..",/usr/local,/usr}/lib{"/$HOSTTYPE-linux-gnu",64,}; do
        shim=$candidate/libmmshim.so
        [ -r "$shim" ] || continue
        shim=$(readlink -f -- "$shim")
        case $shim in
        *[:[:space:]]*) die "LD_PRELOAD can't hold a path with a space or a colon: $shim" ;;
        esac
        return
    done
    die "libmmshim.so is neither near $here nor where libraries are"
}

# run PROGRAM ARGUMENT... - becomes the program: terminal, signals and exit status are then its own.
run() {
    local verdict=0 setting path
    path=$(type -P -- "$1") || path=$1
    [ -e "$path" ] || { say "$1: not found"; exit 127; }
    [[ -x $path && ! -d $path ]] || { say "$1: not executable"; exit 126; }
    judge_program "$path" || verdict=$?
    [ "$verdict" -ne "$no_effect" ] || say "the shim will have no effect: $reason"
    for setting in "${defaults[@]}"; do
        [[ -v MM_${setting%%=*} ]] || export "MM_$setting"
    done
    export LD_PRELOAD=$shim${LD_PRELOAD:+:$LD_PRELOAD}
    exec -- "$@"
}

main() {
    while [ $# -gt 0 ]; do
        case $1 in
        --help | -h)
            usage
            return
            ;;
        --version)
            printf 'mmshim %s\n' "$version"
            return
            ;;
        --check)
            [ $# -eq 2 ] || die "--check takes one program"
            find_shim
            check "$2"
            return
            ;;
        --no-children) option_set --children=0 ;;
        --)
            shift
            break
            ;;
        -*) option_set "$1" ;;
        symbolize | sarif)
            "$@"
            return
            ;;
        *) break ;;
        esac
        shift
    done
    [ $# -gt 0 ] || die "no program (mmshim --help says more)"
    find_shim
    run "$@"
}

main "$@"
