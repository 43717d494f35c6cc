#!/bin/bash
# fish: lists, functions, string and math builtins, command substitution, universal state kept aside.
# packages: fish
. "${0%/*}/../compare.sh"
need fish

work() {
    XDG_CONFIG_HOME=$PWD/varying XDG_DATA_HOME=$PWD/varying fish --no-config "$inputs/work.fish" one two
}
compare work
