#!/bin/bash
# grep, sed, diff, patch: many patterns, PCRE, in-place edits, hold space, a patch made and applied.
# packages: grep sed diffutils patch
. "${0%/*}/../compare.sh"
need grep sed diff patch

work() {
    set +o pipefail
    seq 60000 | sed 's/.*/line &: & some text/' >text
    grep -c -E '(1|2)[3-5]+7' text
    grep -P -o '(?<=line )\d*(\d)\1\1\b' text | tail -n 3
    seq 1 97 20000 >patterns
    grep -F -w -f patterns text | cksum
    grep -n -B1 -A1 -m 3 -i 'LINE .*99:' text
    grep -E -o '\b([a-z]+) \1\b' <<<'this is is a a test' || true
    grep -r -l -Z 'line 59999' . | tr '\0' '\n'
    LC_ALL=C.UTF-8 grep -i -c 'É' <<<'école'
    status grep -E '(' text
    sed -n '100,110{s/line/LINE/;s/[0-9]\+/<&>/g;p}' text
    sed -E ':a;s/^([0-9]+)([0-9]{3})/\1,\2/;ta' patterns | tail -n 2
    sed '1!G;h;$!d' patterns | head -n 3
    sed -n 'H;${x;s/\n/,/g;p}' patterns | cksum
    cp text changed
    sed -i -e '0~1000s/some/any/' -e '500,520d' -e '/line 777:/a added' changed
    diff -u --label a --label b text changed >change.patch || true
    diff --side-by-side -W 60 --suppress-common-lines text changed | head -n 5
    cp text patched
    patch patched <change.patch
    cmp patched changed
    diff3 -m text changed text | cksum || true
    sdiff -s text changed | wc -l || true
    patch -R patched <change.patch
    cmp patched text
}
compare work
