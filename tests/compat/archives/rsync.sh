#!/bin/bash
# rsync: a tree copied, changed, brought up to date by checksums and by a daemon over a pipe.
# packages: rsync
. "${0%/*}/../compare.sh"
need rsync

work() {
    mkdir tree
    (cd tree && seq 300000 | split -l 500 -d -a 4 && mkdir -p a/b/c && cp x0001 a/b/c/ && ln -s x0002 link && find . -exec touch -h -d @1700000000 {} +)
    rsync -a tree/ copy/
    diff -r tree copy
    sed -i '250s/.*/changed/' tree/x0*5
    rm tree/x009*
    touch -d @1700000000 tree/*
    rsync -a --checksum --delete --itemize-changes --no-whole-file tree/ copy | sort
    diff -r tree copy
    rsync -az --rsync-path="$(command -v rsync)" -e "$(printf '%s ' sh -c "'shift; exec \"\$@\"'" sh)" tree/ host:"$PWD/remote" || true
    rsync --list-only tree/x000* | awk '{ print $2, $NF }'
    status rsync -a missing/ nowhere
    rm -r tree copy
}
compare work
