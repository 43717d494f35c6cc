#!/bin/bash
# perl: strings, hashes, regular expressions, sorting, closures, a fork.
# packages: perl
. "${0%/*}/../compare.sh"
need perl

work_in_perl() {
    perl "$inputs/work.pl"
}
compare work_in_perl
