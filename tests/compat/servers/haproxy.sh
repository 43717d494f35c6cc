#!/bin/bash
# haproxy: two threads in front of a web server of Python's: balancing, headers, maps, compression, statistics.
# packages: haproxy curl apache2-utils
. "${0%/*}/../compare.sh"
need haproxy python3 curl ab
find_port
front=$port
find_port
back=$port

work() {
    mkdir site
    seq 3000 >site/numbers.txt
    cat >varying/haproxy.cfg <<END
global
    nbthread 2
    stats socket $PWD/varying/stats level admin
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 5s
frontend in
    bind 127.0.0.1:$front
    acl is_map path_beg /map/
    http-request return status 200 content-type text/plain lf-string "%[path,regsub(^/map/,mapped-)]\n" if is_map
    http-request set-header X-Seen %[src]
    http-response del-header Last-Modified
    http-response del-header Date
    http-request set-header X-Hash %[path,xxh64]
    compression algo gzip
    compression type text/plain
    default_backend out
backend out
    balance roundrobin
    cookie SERVER insert
    server one 127.0.0.1:$back cookie one
    server two 127.0.0.1:$back cookie two
END
    (cd site && exec python3 -m http.server --bind 127.0.0.1 "$back" >/dev/null 2>&1) &
    servers+=($!)
    haproxy -c -f varying/haproxy.cfg >varying/check
    start_server haproxy -db -f varying/haproxy.cfg
    local url=http://127.0.0.1:$front
    retry curl -fsS "$url/numbers.txt"
    ab -q -n 400 -c 8 "$url/numbers.txt" 2>&1 | grep -E '^(Complete|Failed|Non-2xx)'
    ab -q -n 4000 -c 20 -k "$url/map/abc" 2>&1 | grep -E '^(Complete|Failed|Non-2xx)'
    curl -sS --compressed "$url/numbers.txt" | cksum
    curl -sSI "$url/numbers.txt" | grep -v '^server:' | grep -i -v '^set-cookie'
    curl -sS -o /dev/null -w '%{http_code}\n' "$url/missing"
    curl -sS "$url/map/x/y"
}
compare work
