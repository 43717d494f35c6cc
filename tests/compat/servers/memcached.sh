#!/bin/bash
# memcached: 20,000 values set, read, counted, evicted and deleted over four connections.
# packages: memcached
. "${0%/*}/../compare.sh"
need memcached python3

work() {
    start_server memcached -u "$(id -un)" -s "$PWD/varying/socket" -t 4 -m 64
    retry test -S varying/socket
    env -u LD_PRELOAD /usr/bin/python3 "$inputs/memcached.py" varying/socket
}
compare work
