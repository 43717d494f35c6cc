#!/bin/bash
# set-user-ID: the loader lets no preloaded library in, and the program runs as ever.
. "${0%/*}/../compare.sh"
[ "$(id -u)" = 0 ] || skip "takes root, to make such a program"
cp "$(type -P id)" "$work/id"
chmod 4755 "$work/id"
[ "$(setpriv --reuid=nobody --clear-groups "$work/id" -u)" = 0 ] || skip "no set-user-ID where temporary files are"

work() {
    unprivileged "$work/id" -u
    unprivileged sh -c '"$1" -u; id -un' sh "$work/id"
}
compare work
