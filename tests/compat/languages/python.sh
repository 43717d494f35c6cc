#!/bin/bash
# python3: containers, json, threads, subprocesses, multiprocessing, C extensions.
# packages: python3
. "${0%/*}/../compare.sh"
need python3
python=$(find_python)

work_in_python() {
    "$python" -W ignore "$inputs/work.py"
    PYTHONMALLOC=malloc "$python" -W ignore "$inputs/work.py"
}
compare work_in_python
