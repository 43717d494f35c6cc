#!/bin/bash
# curl, wget: a site of Python's server mirrored, parallel transfers, posts, cookies, failures.
# packages: curl wget
. "${0%/*}/../compare.sh"
need curl wget python3
find_port

work() {
    mkdir -p site/sub
    seq 200000 >site/numbers.txt
    local i
    for i in $(seq 30); do echo "<a href=\"sub/page$i.html\">$i</a>"; echo "<a href=\"../index.html\">up $i</a>" >"site/sub/page$i.html"; done >site/index.html
    find site -exec touch -d @1700000000 {} +
    start_server python3 -m http.server --bind 127.0.0.1 --directory site "$port" >/dev/null 2>&1
    local url=http://127.0.0.1:$port
    retry curl -fsS "$url/"
    curl -sS "$url/numbers.txt" | cksum
    curl -sS -Z --parallel-max 5 -O --output-dir varying "$url/sub/page[1-30].html" 2>varying/progress
    cat varying/page*.html | cksum
    curl -sSI "$url/index.html" | grep -v '^\(Date\|Server\)'
    status curl -sS -f "$url/missing"
    curl -sS -d "$(seq 1000)" -b a=b -H 'X-Header: value' -w '%{http_code} %{size_upload}\n' -o /dev/null "$url/"
    status curl -sS nothing://nowhere
    curl -sS "file://$PWD/site/numbers.txt" | cksum
    wget -q -r -l 2 -np -nH -P mirror "$url/"
    wget -q -O - "$url/numbers.txt" | cksum
    diff -r site mirror --exclude=numbers.txt
    head -c 1000 site/numbers.txt >numbers.txt
    wget -q --tries=1 --no-clobber "$url/numbers.txt" || true
    status wget -q --tries=1 "$url/missing"
}
compare work
