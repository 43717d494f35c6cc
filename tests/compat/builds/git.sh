#!/bin/bash
# git: init, 500 commits, branches and merges, gc, fsck, log, clone.
# packages: git
. "${0%/*}/../compare.sh"
need git

# Not /dev/null, which is a file with something in it where the machine has no devices.
: >"$work/gitconfig"
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$work/gitconfig
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org

# The sources may be edited while this runs.
cp -r "$PRELOAD_SOURCE/src" "$work/src"

commit() {
    export GIT_AUTHOR_DATE="$((1700000000 + $1)) +0000" GIT_COMMITTER_DATE="$((1700000000 + $1)) +0000"
    git commit -q -a -m "commit $1"
}

# How objects are spread over packs and deltas depends on which thread is first, so what is
# compared is the objects themselves.
work_in_git() {
    git init -q -b main
    git config pack.threads 2
    git config gc.auto 0
    seq 2000 >numbers
    echo 0 >counter
    cp "$work"/src/s*/*.c .
    git add .
    local i
    for i in $(seq 500); do
        echo "$i $((i * i))" >>"file$((i % 10))"
        echo "$i" >counter
        if [ "$i" -le 10 ]; then
            git add "file$((i % 10))"
        fi
        commit "$i"
    done
    git checkout -q -b side HEAD~250
    sed -i 's/^1000$/a thousand/' numbers
    commit 501
    git checkout -q main
    git merge -q --no-edit -s ort -X theirs side
    git tag -a -m "a tag" v1
    git gc -q --prune=now
    git fsck --full --strict
    git log --stat --graph
    git log -p --reverse -20
    git blame -s numbers | sed -n '995,1005p'
    git grep -n -c return
    git cat-file --batch-all-objects --batch-check
    git archive --format=tar HEAD | git hash-object --stdin
    git clone -q --bare . clone.git
    git -C clone.git rev-parse HEAD HEAD^2 v1
    git bisect start HEAD HEAD~400
    git bisect run sh -c '[ "$(cat counter)" -lt 321 ]'
    git status --short --branch
    rm -rf .git clone.git
}
compare work_in_git
