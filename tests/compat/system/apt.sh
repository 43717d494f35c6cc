#!/bin/bash
# apt-cache, apt-get -s, apt-config, apt-ftparchive: searches, dependencies, a simulated installation and upgrade.
# packages: apt
. "${0%/*}/../compare.sh"
need apt-cache apt-get apt-config

work() {
    apt-cache policy bash
    apt-cache depends --recurse coreutils | cksum
    apt-cache search --names-only '^lib.*-dev$' | sort | cksum
    apt-cache stats | grep -v '^Total.*space\|slack'
    apt-get -s install hello 2>&1 | cksum
    apt-get -s dist-upgrade 2>&1 | cksum
    apt-config dump | cksum
    apt-mark showmanual | cksum
    status apt-get -s install a-package-that-is-not-there
}
compare work
