#!/bin/bash
# m4: recursion, loops, diversions, regular expressions, a hundred thousand expansions.
# packages: m4
. "${0%/*}/../compare.sh"
need m4

work() {
    m4 <<'END'
define(`forloop', `pushdef(`$1', `$2')_forloop($@)popdef(`$1')')dnl
define(`_forloop', `$4`'ifelse($1, `$3', `', `define(`$1', incr($1))$0($@)')')dnl
forloop(`i', 1, 3000, `define(`name'i, eval(i * i))divert(eval(i % 3))i ')divert(0)
name2999 len(forloop(`i', 1, 500, `text')) translit(`abc', `a-c', `A-C')
patsubst(forloop(`i', 1, 50, `i,'), `\([0-9]\)\([0-9]\),', `\2\1;') format(`%05d|%-6s|', 42, ab)
esyscmd(`seq 3')regexp(`hello world', `o\( \)w') index(`abcdef', `cd')
undivert(1)undivert(2)
END
    status m4 <<<'undefined_macro(`unterminated'
}
compare work
