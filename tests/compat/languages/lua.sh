#!/bin/bash
# lua: tables, strings, closures, coroutines, the collector.
# packages: lua5.4
. "${0%/*}/../compare.sh"
lua=$(first_of lua5.4 lua5.3 lua)
need "$(basename "${lua:-lua}")"

work_in_lua() {
    "$lua" "$inputs/work.lua"
}
compare work_in_lua
