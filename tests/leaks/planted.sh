#!/usr/bin/env bash
# planted.sh EXPECTED PROGRAM SHIM [TWIN] - each case of a planted program tells the leaks that stand in
# EXPECTED, a case a line: its name, and for each finding BYTES/BLOCKS. TWIN is the same source built with
# -fsanitize=leak: it must tell the same, but for cases with a ! behind their names.
set -euo pipefail
expected=$1 program=$2 shim=$3 twin=${4-} failed=0
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# What was told, sorted, on one line.
told() {
    sed -nE -e 's/^    a block of ([0-9]+) bytes? that (nothing|only leaked blocks) .*/\1\/1/p' \
        -e 's/^(    |(Direct|Indirect) leak of )([0-9]+) (bytes?|byte\(s\)) in ([0-9]+) (blocks that (nothing|only leaked blocks) |object).*/\3\/\5/p' \
        "$work/told" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}

fail() {
    printf 'FAILED: %s: %s\n' "$name" "$*"
    head -n 60 "$work/told"
    failed=1
}

[[ $(cut -d ' ' -f 1 "$expected" | tr -d '!') == "$("$program")" ]] || {
    echo "FAILED: $expected has other cases than $program"
    exit 1
}
while read -r name leaks; do
    case=${name%!} status=0 wanted=0
    [[ -z $leaks ]] || wanted=23
    env LD_PRELOAD="$shim" MM_LEAKS=1 "$program" "$case" >/dev/null 2>"$work/told" || status=$?
    [[ $(told) == "$leaks" ]] || fail "told $(told), not $leaks"
    [[ $status == "$wanted" ]] || fail "ended with $status, not $wanted"
    if [[ -n $twin && $name != *! ]]; then
        "$twin" "$case" >/dev/null 2>"$work/told" || true
        [[ $(told) == "$leaks" ]] || fail "LeakSanitizer tells $(told), not $leaks"
    fi
done <"$expected"
exit $failed
