#!/usr/bin/env bash
# malloc_info.sh PROGRAM SHIM - what malloc_info() writes is XML for a parser of somebody else's.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: process.malloc_info (needs python3)"; exit 77; }
LD_PRELOAD=$2 "$1" malloc_info | python3 -c '
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.stdin).getroot()
assert root.tag == "malloc" and "version" in root.attrib, root
assert int(root.find("slots").get("live")) > 1000
'
