#!/bin/bash
# ninja: three hundred steps with two jobs, rebuilt after a change.
# packages: ninja-build
. "${0%/*}/../compare.sh"
need ninja

work() {
    seq 300 | xargs touch -d @1700000000
    {
        printf 'rule copy\n  command = cksum $in > $out\nrule join\n  command = cat $in > $out\n  description = JOIN\n'
        seq 300 | sed 's/.*/build out& : copy &/'
        printf 'build all: join %s\n' "$(seq -s ' ' -f 'out%g' 300)"
    } >build.ninja
    ninja -j2 | tail -n 1
    ninja
    echo changed >./17
    ninja -j2 | tail -n 1
    ninja -t targets all | cksum
    ninja -t clean
    rm -f .ninja_*
}
compare work
