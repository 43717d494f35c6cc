#!/bin/bash
# ruby: strings, hashes, blocks, threads, fibers, fork, compaction, C extensions.
# packages: ruby
. "${0%/*}/../compare.sh"
need ruby

work() {
    ruby "$inputs/work.rb"
}
compare work
