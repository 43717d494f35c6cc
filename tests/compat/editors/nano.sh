#!/bin/bash
# nano: in a pseudo-terminal: a text typed, searched, replaced and saved.
# packages: nano bsdutils
. "${0%/*}/../compare.sh"
need nano script

work() {
    export TERM=xterm
    seq 200 >text
    # Typed slowly: what nano draws in between is its own affair.
    {
        sleep 0.5
        printf 'first line typed\r'
        sleep 0.2
        printf '\033/last line typed\r' # M-/ : end of the text
        sleep 0.2
        printf '\017\r' # ^O
        sleep 0.3
        printf '\030' # ^X
        sleep 0.3
    } | script -q -e -c 'nano -I text' varying/screen >/dev/null
    head -n 2 text
    tail -n 2 text
}
compare work
