#!/bin/bash
# find, xargs, locate: a tree of 5,000 files searched in many ways, xargs with parallel processes.
# packages: findutils
. "${0%/*}/../compare.sh"
need find xargs

work() {
    mkdir tree
    (cd tree && seq 50 | xargs mkdir && seq 5000 | awk '{ print $1 % 50 + 1 "/file" $1 }' | xargs touch -d @1700000000)
    find tree -name 'file*9' -newermt '2020-01-01' | sort | cksum
    find tree -type f -regextype posix-extended -regex '.*(11|22)$' -printf '%p %s %m %T@\n' | sort
    find tree -type f -print0 | sort -z | xargs -0 -n 500 | cksum
    find tree -maxdepth 1 -mindepth 1 -type d -exec sh -c 'echo "$1 $(ls "$1" | wc -l)"' sh {} \; | sort
    find tree -name '*77*' -exec ls {} + | wc -l
    seq 400 | xargs -P 4 -n 1 -I% echo number % | sort | cksum
    find tree -empty -size 0 \( -name '*1' -o -name '*2' \) -delete
    find tree -type f | wc -l
    find tree -samefile tree/1/file50 -ls | awk '{ print $3, $NF }'
    status find missing
    status xargs false <<<word
    rm -r tree
}
compare work
