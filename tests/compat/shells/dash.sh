#!/bin/bash
# dash: functions, pipes, substitutions, here-documents, traps, a thousand processes.
# packages: dash
. "${0%/*}/../compare.sh"
need dash

work() {
    dash "$inputs/work.dash" one "two words"
}
compare work
