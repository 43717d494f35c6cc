#!/bin/bash
# gawk, mawk: associative arrays, sorting, regular expressions, pipes, getline, numbers without end.
# packages: gawk mawk
. "${0%/*}/../compare.sh"
need gawk mawk

work() {
    local awk
    for awk in gawk mawk; do
        seq 50000 | "$awk" -f "$inputs/work.awk"
    done
    gawk 'BEGIN {
        for (i = 0; i < 20000; i++) a["key" i * 7919 % 20011][i % 7] = i
        n = asorti(a, sorted)
        print n, sorted[1], sorted[n], length(a["key1"])
        PROCINFO["sorted_in"] = "@val_num_desc"
        print gensub(/([a-z]+)([0-9]+)/, "\\2\\1", "g", "ab12 cd34"), strftime("%F", 0, 1)
        command = "sort -n"; for (i = 50; i; i--) print i |& command
        close(command, "to"); command |& getline line; print line
    }'
    gawk -M 'BEGIN { for (n = i = 1; i <= 200; i++) n *= i; print n }'
}
compare work
