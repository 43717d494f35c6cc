#!/bin/bash
# chromium: headless, with its sandbox where it may use one: a page with scripts, canvas, workers and wasm dumped and drawn.
# packages: chromium fonts-dejavu-core
# note: has its own malloc (PartitionAlloc), which stays in use: the shim is loaded and idle
. "${0%/*}/../compare.sh"
need chromium

browse() {
    unprivileged timeout 60 chromium --headless=new --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions \
        --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars --window-size=600,400 \
        --user-data-dir="$PWD/varying/profile" --virtual-time-budget=5000 "$@" 2>>varying/log
}

work() {
    cp "$inputs/page.html" .
    chmod 777 . varying
    browse --dump-dom "file://$PWD/page.html" || browse --no-sandbox --dump-dom "file://$PWD/page.html"
    browse --no-sandbox --screenshot="$PWD/page.png" "file://$PWD/page.html"
    browse --no-sandbox --print-to-pdf="$PWD/varying/page.pdf" "file://$PWD/page.html"
    test -s varying/page.pdf
}
compare work
