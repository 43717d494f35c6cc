#!/bin/bash
# emacs: --batch: buffers, regular expressions, org and HTML export, byte compilation, subprocesses.
# packages: emacs-nox
. "${0%/*}/../compare.sh"
need emacs

work() {
    cp "$inputs/work.el" .
    emacs --batch -Q -l work.el -f work
    emacs --batch -Q -f batch-byte-compile work.el
    emacs --batch -Q -l work.elc -f work
    rm work.elc
    status emacs --batch -Q --eval '(error "broken")'
}
compare work
