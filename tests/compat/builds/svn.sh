#!/bin/bash
# svn, svnadmin: a repository with 40 commits, branches, a merge with a conflict, a dump loaded again.
# packages: subversion
. "${0%/*}/../compare.sh"
need svn svnadmin

# Dates and checkouts' databases differ from run to run; they stay in varying.
work() {
    local url="file://$PWD/varying/repository" i
    svnadmin create varying/repository
    svn -q mkdir -m layout "$url/trunk" "$url/branches"
    svn -q checkout "$url/trunk" varying/checkout
    cd varying/checkout
    seq 500 >numbers
    svn add numbers
    for i in $(seq 40); do
        echo "$i" >>"file$((i % 5))"
        svn -q add --force .
        svn -q commit -m "commit $i"
    done
    svn -q copy -m branch "$url/trunk@20" "$url/branches/side"
    svn -q update
    sed -i 's/^250$/here/' numbers
    svn -q commit -m here
    svn -q switch "$url/branches/side"
    sed -i 's/^250$/there/' numbers
    svn -q commit -m there
    svn -q update
    svn merge --accept postpone "$url/trunk" . | sort
    svn resolve --accept theirs-full numbers
    svn -q commit -m merged
    svn -q update
    svn status
    svn diff -r 10:30 | grep -v '^\(---\|+++\)' | cksum
    svn log -q | awk '{ print $1 }' | head -n 3
    svn cat -r 15 numbers | cksum
    svn propset svn:ignore '*.o' .
    svnadmin dump -q ../repository >../dump
    svnadmin create ../copy
    svnadmin load -q ../copy <../dump
    svnadmin verify ../copy | tail -n 1
    status svn cat missing
}
compare work
