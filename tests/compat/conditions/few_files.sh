#!/bin/bash
# `ulimit -n`: with as few file descriptors as each program gets along with.
. "${0%/*}/../compare.sh"

work() {
    prlimit --nofile=4 "$PRELOAD_BLOCKS"
    prlimit --nofile=4 "$PRELOAD_BLOCKS" keep
    prlimit --nofile=4 cat <<<'through cat'
    prlimit --nofile=5 sort -r <<<$'1\n2'
    prlimit --nofile=12 bash -c 'for i in {1..200}; do echo $i | cat; done | tail -n 1'
    # Four descriptors are four, whichever of them a program opens.
    prlimit --nofile=6 perl -e 'while (open my $f, "<", "/dev/null") { push @f, $f } print scalar(@f), " $!\n"'
}
compare work
