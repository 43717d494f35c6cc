#!/bin/bash
# vim: a script of searches, substitutions, registers, undo, macros and filters.
# packages: vim
. "${0%/*}/../compare.sh"
need vim
vim --version | grep -q '+eval' || skip "vim is built without scripting"

edit() {
    seq -f 'line %g of the text, with some words' 20000 >text
    vim -es -N -u NONE -i NONE -n -S "$inputs/work.vim" text
    cat report
}
compare edit
