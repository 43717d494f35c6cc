#!/bin/bash
# util-linux, procps, psmisc: col, hexdump, getopt, flock, lscpu, script, ps, setpriv and others.
# packages: util-linux bsdextrautils
. "${0%/*}/../compare.sh"
need getopt flock setsid ps

work() {
    seq 3000 | column -c 100 | cksum
    seq 30 | column -t -o '|' | tail -n 1
    printf 'a b\nc dd\n' | column -t -J -N one,two 2>/dev/null || true
    seq 20000 | hexdump -C | cksum
    getopt -o ab: -l long: -- -a -b value --long=x rest
    echo 'reversed text' | rev
    flock lock -c 'echo locked'
    setsid -w sh -c 'echo in a session of its own'
    head -c 10M /dev/zero >image && chmod 600 image && mkswap -U 00000000-0000-0000-0000-000000000001 image >/dev/null && rm image
    namei -m /usr/bin/env | tail -n 1
    ps -o comm= -p $$
    findmnt --version; lsblk --version; prlimit --nofile=100 sh -c 'ulimit -n'
    cal 11 2026 2>/dev/null || true
    status flock -n missing/lock true
}
compare work
