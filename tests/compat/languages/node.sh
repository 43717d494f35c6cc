#!/bin/bash
# node: objects, buffers, zlib, crypto, worker threads, child processes, files.
# packages: nodejs
. "${0%/*}/../compare.sh"
need node

work_in_node() {
    node "$inputs/work.js"
}
compare work_in_node
