#!/bin/bash
# bash: pipes, substitutions, here-documents, arrays, traps, many processes.
. "${0%/*}/../compare.sh"
need bash sort sed awk tr

work_in_bash() {
    bash "$inputs/work.bash" one "two words" three
}
compare work_in_bash
