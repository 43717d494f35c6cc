#!/bin/bash
# dpkg, dpkg-deb: a package built, looked into, installed into a root of its own, checked, removed; queries of the system's.
# packages: dpkg
. "${0%/*}/../compare.sh"
need dpkg dpkg-deb dpkg-query

export SOURCE_DATE_EPOCH=1700000000

work() {
    mkdir -p tree/DEBIAN tree/usr/share/work varying/root/var/lib/dpkg/{info,updates,triggers}
    touch varying/root/var/lib/dpkg/{status,available}
    (cd tree/usr/share/work && seq 200000 | split -l 1000 -d -a 3)
    printf 'Package: work\nVersion: 1.0\nArchitecture: all\nMaintainer: Name <name@example.org>\nDescription: a package\n' >tree/DEBIAN/control
    (cd tree && find usr -type f -exec md5sum {} + | sort -k2 >DEBIAN/md5sums)
    find tree -exec touch -d @1700000000 {} +
    dpkg-deb --root-owner-group -Zxz -b tree work.deb
    dpkg-deb -I work.deb
    dpkg-deb -c work.deb | cksum
    if [ "$(id -u)" = 0 ]; then
        dpkg --force-not-root --force-script-chrootless --root="$PWD/varying/root" --log=/dev/null -i work.deb
        dpkg --root="$PWD/varying/root" -V work
        dpkg --root="$PWD/varying/root" -L work | cksum
        dpkg --force-script-chrootless --root="$PWD/varying/root" --log=/dev/null -P work
    fi
    dpkg-query -W | cksum
    dpkg -S "$(command -v bash)" /usr/bin/env || true
    dpkg --compare-versions 1:2.0~rc1 lt 1:2.0 && echo less
    status dpkg -s a-package-that-is-not-there
    rm -r tree
}
compare work
