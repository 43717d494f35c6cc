#!/bin/bash
# fakeroot, faketime, eatmydata: other libraries in LD_PRELOAD, which stand between the shim and libc.
# packages: fakeroot faketime eatmydata
. "${0%/*}/../compare.sh"
. "${0%/*}/mixture.bash"
need fakeroot faketime eatmydata

work() {
    run_mixture fakeroot
    run_mixture faketime '2020-01-01 00:00:00'
    run_mixture eatmydata
    fakeroot sh -c 'touch owned; chown 1234 owned; stat -c %u owned'
    faketime '2020-01-01 00:00:00' date +%F
    rm owned
}
compare work
