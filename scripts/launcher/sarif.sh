# ---- sarif: what code hosts show at the line ----

need_jq() {
    type -P jq >/dev/null || die "$1 needs jq for reports in JSON"
}

sarif() {
    local root=$PWD
    case $#:${1-} in
    0:) ;;
    1:--source-root=*) root=$(realpath -m -- "${1#*=}") ;;
    *) die "sarif takes --source-root=DIR only, and the log from stdin" ;;
    esac
    need_jq sarif
    jq -Rs --arg version "$version" --arg root "${root%/}/" "$sarif_jq"
}
