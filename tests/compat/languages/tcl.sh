#!/bin/bash
# tcl: dictionaries, lists, strings, regular expressions, coroutines, threads' channels, subprocesses.
# packages: tcl
. "${0%/*}/../compare.sh"
need tclsh

work() {
    tclsh "$inputs/work.tcl"
}
compare work
