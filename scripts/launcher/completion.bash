# Completion of mmshim for bash. What options there are, mmshim --help tells.
# shellcheck shell=bash

# _mmshim_value FLAG VALUE - completes what stands behind FLAG=.
_mmshim_value() {
    local choices
    choices=$("${COMP_WORDS[0]}" --help 2>/dev/null | sed -n "s/^  $1=\(.*|.*\)/\1/p")
    if [ -n "$choices" ]; then
        mapfile -t COMPREPLY < <(compgen -W "${choices//|/ }" -- "$2")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$2")
    fi
}

# _mmshim_flag FLAGS WORD
_mmshim_flag() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}

_mmshim_flags() {
    "${COMP_WORDS[0]}" --help 2>/dev/null | sed -n 's/^  \(--.*\)/\1/p' | tr ',' '\n' | sed 's/=.*/=/'
}

# bash takes --flag=value for three words.
_mmshim() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] || break
    done
    if ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} != @(symbolize|leaks|report|sarif) ]]; then
        # The rest of the line is the program's.
        if declare -F _command_offset >/dev/null; then
            _command_offset "$i"
        else
            compopt -o default
        fi
        return
    fi
    case ${COMP_WORDS[i]}:$before:$word in
    *:*:=) _mmshim_value "$before" '' ;;
    *:=:*) _mmshim_value "${COMP_WORDS[COMP_CWORD - 2]}" "$word" ;;
    symbolize:*:-*) _mmshim_flag --debug-dir= "$word" ;;
    leaks:*:-*) _mmshim_flag '--wait=' "$word" ;;
    leaks:*) mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word") ;;
    report:*:-*) _mmshim_flag '--junit --sarif --github --prometheus --source-root=' "$word" ;;
    sarif:*:-*) _mmshim_flag --source-root= "$word" ;;
    -*:*:-*) _mmshim_flag "$(_mmshim_flags)" "$word" ;;
    *)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -c -W 'symbolize leaks report sarif' -- "$word" | sort -u; compgen -d -- "$word")
        ;;
    esac
}
complete -F _mmshim mmshim
