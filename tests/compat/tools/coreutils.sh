#!/bin/bash
# coreutils: some sixty of its commands, sort with threads and temporary files among them.
. "${0%/*}/../compare.sh"
need sort

work() {
    set +o pipefail # yes, tac and others end by SIGPIPE here
    seq -w 200000 >numbers
    sort --parallel=4 -S 1M -T varying -k1.4,1.6r -k1.1,1.3 numbers | cksum
    sort -R --random-source=numbers numbers | sort -c || echo "unsorted: $?"
    shuf --random-source=numbers -n 5 numbers
    sort -h <<<$'2K\n1M\n3'
    uniq -c -w 3 numbers | tail -n 2
    comm -12 <(head -n 1000 numbers) <(seq -w 0500 200000 | sed 's/^/00/' | cut -c 1-6 | sort) | wc -l
    join <(seq 1000 | sort) <(seq 500 1500 | sort) | wc -l
    paste -d, <(seq 5) <(seq 6 10) | tr , ';'
    split -l 50000 -d numbers part. && md5sum part.*
    csplit -s -f piece. numbers '/000100/' '{0}' && wc -l piece.*
    cat -A <<<$'a\tb' | fold -w 3 | nl
    tac numbers | head -c 20 | od -c
    fmt -w 40 <<<"$(seq 60 | tr '\n' ' ')" | pr -2 -t -l 10
    expand <<<$'a\tb' | unexpand -a
    b2sum numbers; sha1sum numbers; sha512sum numbers; sum numbers
    sha256sum numbers >sums && sha256sum -c sums
    base64 numbers | base64 -d | cmp - numbers
    base32 <<<text | basenc -d --base32
    factor 1234567890123456789012345678901 600851475143
    numfmt --to=iec 1234567 9876543210
    printf '%s %q %x\n' a 'b c' 255
    expr 1 + 2 \* 3; expr match abcabc '\(a.*c\)'
    echo 3 1 2 | tsort || true
    tsort <<<$'a b\nb c\nd b'
    mkdir -p tree/{a,b}/{c,d} && cp -r tree copy && mv copy/a copy/e && ln -s e copy/link
    touch -d @1700000000 copy/file && ls -lR --time-style=+%s copy | awk '{ print $1, $2, $NF }' | grep -v '^total'
    stat -c '%n %F %s %Y' copy/file; du -a --apparent-size copy/file
    install -m 640 numbers installed && chmod u+x installed && stat -c %a installed
    dd if=numbers of=block bs=4096 skip=3 count=20 status=none && cksum block
    truncate -s 100 block && wc -c block; shred -u -n 1 --random-source=numbers block
    readlink -f copy/link | sed "s|$PWD||"; realpath --relative-to=copy tree; basename /a/b.c .c; dirname /a/b
    date -u -d '2026-11-23 +3 days' +%F; date -u -d @0 -R
    env -i A=b env; nice -n 5 nice; nohup true; timeout 5 echo in time; status timeout 0.1 sleep 5
    id -u root; groups root; test -d copy && pathchk copy; mktemp -u -p . fixed.XXX | wc -c
    seq 100000 | tee >(wc -l >counted) >/dev/null; sleep 0.2; cat counted
    yes | head -n 100000 | uniq; stdbuf -oL seq 3; head -c 1M /dev/zero | sha256sum
    ptx <<<"some words here"; rm -rf tree; rmdir copy/b/c; unlink copy/link; who /dev/null; sync numbers
    status cat missing; status ls missing; status sort --nothing
}
compare work
