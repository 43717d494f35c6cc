#!/bin/bash
# erl, erlc: processes, messages, binaries, ets, a port.
# packages: erlang-base
. "${0%/*}/../compare.sh"
need erl erlc

work() {
    erlc -o varying "$inputs/work.erl"
    erl -noshell -pa varying -s work main -s init stop
}
compare work
