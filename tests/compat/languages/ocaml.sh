#!/bin/bash
# ocaml: byte code and native code compiled and run, maps, strings, regular expressions, the collector.
# packages: ocaml-nox
. "${0%/*}/../compare.sh"
need ocaml ocamlc ocamlopt

work() {
    cp "$inputs/work.ml" .
    ocamlc -o varying/bytecode work.ml
    varying/bytecode
    ocamlopt -O3 -o varying/native work.ml 2>/dev/null
    varying/native
    ocaml work.ml
    rm -f work.o work.cm*
}
compare work
