#!/bin/bash
# zip, unzip, 7z, cpio: packed, listed, tested, encrypted, unpacked.
# packages: zip unzip p7zip-full cpio
. "${0%/*}/../compare.sh"
need zip unzip 7z cpio

work() {
    mkdir tree
    (cd tree && seq 300000 | split -l 3000 -d -a 3 && find . -exec touch -d @1700000000 {} +)
    find tree | sort | zip -q -X -9 -@ tree.zip
    unzip -l tree.zip | tail -n 1
    unzip -q tree.zip -d unzipped
    diff -r tree unzipped/tree
    7z a -bd -mmt2 -mx9 -mtm- tree.7z tree >varying/7z
    7z t tree.7z | grep -E '^(Everything|Files)'
    7z a -bd -psecret -mhe varying/secret.7z tree >varying/secret
    status 7z t -pwrong varying/secret.7z >varying/wrong 2>&1
    7z x -bd -psecret -ovarying/out varying/secret.7z >>varying/secret
    diff -r tree varying/out/tree
    find tree | sort | cpio --quiet -o -H newc --reproducible >tree.cpio
    cpio --quiet -t <tree.cpio | cksum
    7z l tree.cpio | tail -n 1 | awk '{ print $NF }'
    rm -r tree unzipped tree.cpio tree.7z tree.zip
}
compare work
