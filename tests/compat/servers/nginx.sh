#!/bin/bash
# nginx, ab: two workers serving 10,000 requests, plus compressed, proxied and failing ones.
# packages: nginx-light apache2-utils
. "${0%/*}/../compare.sh"
need nginx ab

compare_stderr=no # nginx's log goes there, with times and process ids

find_port

write_config() {
    if [ "$(id -u)" = 0 ]; then
        echo 'user root;'
    fi
    cat <<END
daemon off;
worker_processes 2;
pid varying/nginx.pid;
error_log stderr notice;
events { worker_connections 200; }
http {
    access_log varying/access.log;
    client_body_temp_path varying/body;
    proxy_temp_path varying/proxy;
    fastcgi_temp_path varying/fastcgi;
    uwsgi_temp_path varying/uwsgi;
    scgi_temp_path varying/scgi;
    types { text/html html; }
    gzip on;
    gzip_http_version 1.0;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:$port;
        root $PWD/site;
        autoindex on;
        location /proxied/ { proxy_pass http://127.0.0.1:$port/; }
        location ~ ^/pattern/(?<part>[a-z]+)/(\d+)\$ { return 200 "\$part \$2\n"; }
        location /ssi/ { ssi on; }
        location /upload { client_max_body_size 1k; proxy_pass http://127.0.0.1:$port/; }
    }
}
END
}

# fetch PATH [HEADER]
fetch() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n' "$1" "${2:+$2$'\r\n'}" >&3
    cat <&3
    exec 3>&-
}

# Headers that hold times, and the directory listing's, aside.
show() {
    echo "== $*"
    fetch "$@" | grep -a -v -E '^(Date|Last-Modified|ETag):' | sed -E 's/[0-9]{2}-[A-Z][a-z]{2}-[0-9]{4} [0-9:]{5}//'
}

benchmark() {
    ab -q "$@" | grep -E '^(Document|Complete|Failed|Non-2xx|Keep-Alive|HTML)'
}

use_nginx() {
    mkdir -p site/ssi site/dir
    seq 3000 >site/numbers.html
    seq 300000 >site/big.html
    echo small >site/small.html
    echo 'before <!--# include virtual="/small.html" --> after' >site/ssi/page.html
    touch site/dir/{a,b,c}.html
    write_config >varying/nginx.conf
    start_server nginx -p "$PWD" -c varying/nginx.conf
    local server=${servers[-1]}
    retry fetch /small.html

    benchmark -n 5000 -c 20 "http://127.0.0.1:$port/numbers.html"
    benchmark -n 3000 -c 20 -k "http://127.0.0.1:$port/numbers.html"
    benchmark -n 1000 -c 20 -k -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/numbers.html"
    benchmark -n 200 -c 5 "http://127.0.0.1:$port/big.html"
    kill -HUP "$server"
    benchmark -n 1000 -c 10 "http://127.0.0.1:$port/proxied/small.html"

    show /small.html
    show /proxied/numbers.html
    show /pattern/abc/42
    show /ssi/page.html
    show /dir/
    show /numbers.html 'Range: bytes=10-19,100-109' | grep -a -v -E '^(--|Content-Type: multipart)'
    show /nothing.html
    fetch /numbers.html 'Accept-Encoding: gzip' | sed '1,/^\r$/d' | cksum
    fetch /big.html | cksum | cut -d' ' -f2

    kill -QUIT "$server"
    status wait "$server"
    servers=()
}
compare use_nginx
