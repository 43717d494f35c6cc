#!/bin/bash
# zsh: associative arrays, glob qualifiers, parameter flags, modules, pipes, functions.
# packages: zsh
. "${0%/*}/../compare.sh"
need zsh

work() {
    zsh -f "$inputs/work.zsh" one "two words"
}
compare work
