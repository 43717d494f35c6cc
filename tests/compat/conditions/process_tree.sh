#!/bin/bash
# setsid, nohup, timeout, nice, env -i, stdbuf, xargs, exec: ways a child is started, with and without the shim.
. "${0%/*}/../compare.sh"
. "${0%/*}/mixture.bash"

work() {
    run_mixture setsid -w
    run_mixture nohup
    run_mixture timeout 60
    run_mixture nice -n 1
    run_mixture env -i PATH="$PATH"
    run_mixture env -u LD_PRELOAD
    run_mixture stdbuf -oL # puts a library of its own into LD_PRELOAD
    status timeout -s USR1 0.2 sleep 10
    status timeout 0.2 bash -c 'while :; do x+=y; done'
    echo a b c | xargs -n 1 env -i /bin/echo
    (exec -a renamed bash -c 'echo "$0"')
    bash -c 'env -i /bin/sh -c "seq 100 | sort | tail -n 1"; (trap "" PIPE; seq 10000; true) | head -n 1' 2>varying/pipe
    perl -e 'for (1 .. 50) { my $p = fork // die; unless ($p) { exec "true" if $_ % 2; exit 0 } } 1 while wait > 0; print "all gone\n"'
}
compare work
