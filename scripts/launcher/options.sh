# ---- the options: lines of MM_NAME|type|least|most|default|values|meaning in `options` ----

declare -A option_rows=()
option_names=()
while IFS='|' read -r name row; do
    option_rows[${name#MM_}]=$row
    option_names+=("${name#MM_}")
done <<<"${options%$'\n'}"

# option_flag NAME - prints the option as the command line spells it.
option_flag() {
    local flag=${1,,}
    printf -- '--%s\n' "${flag//_/-}"
}

option_help() {
    local name type value values meaning
    for name in "${option_names[@]}"; do
        IFS='|' read -r type _ _ value values meaning <<<"${option_rows[$name]}"
        value="default: ${value/#-/not set}"
        case $type in
        CHOICE) type=${values//, /|} ;;
        TEXT) type=${values^^} ;;
        NUMBER) type=N value="$values; $value" ;;
        *) value="$values; $value" ;;
        esac
        printf '  %s=%s\n        %s (%s)\n' "$(option_flag "$name")" "$type" "$meaning" "$value"
    done
}

# option_takes NAME VALUE - does the value fit?
option_takes() {
    local type least most values shift=0
    IFS='|' read -r type least most _ values _ <<<"${option_rows[$1]}"
    case $type in
    CHOICE) [[ $2 != *,* && ", $values, " == *", $2, "* ]] ;;
    TEXT) ((${#2} >= least && ${#2} <= most)) ;;
    NUMBER | SIZE)
        [[ $2 =~ ^([0-9]{1,18})([KMG]?)$ ]] || return
        case $type${BASH_REMATCH[2]} in
        NUMBER | SIZE) ;;
        SIZEK) shift=10 ;;
        SIZEM) shift=20 ;;
        SIZEG) shift=30 ;;
        *) return 1 ;;
        esac
        ((10#${BASH_REMATCH[1]} <= most >> shift && 10#${BASH_REMATCH[1]} << shift >= least))
        ;;
    esac
}

# option_set --NAME=VALUE - puts it into the environment.
option_set() {
    local name=${1#--} row
    name=${name%%=*}
    name=${name//-/_}
    name=${name^^}
    [[ $1 =~ ^--[a-z0-9-]+(=|$) && -n ${option_rows[$name]-} ]] ||
        die "no such option: ${1%%=*} (mmshim --help lists them)"
    IFS='|' read -r -a row <<<"${option_rows[$name]}"
    [[ $1 == *=* ]] || die "$1 needs a value: $1=... (${row[4]})"
    option_takes "$name" "${1#*=}" || die "$1: takes ${row[4]}"
    export "MM_$name=${1#*=}"
}
