#!/bin/bash
# apache2: the event workers, 5,000 requests by ab, CGI, compression, rewriting, a graceful restart.
# packages: apache2 apache2-utils curl
. "${0%/*}/../compare.sh"
need apache2 ab curl
find_port

write_config() {
    local module
    [ "$(id -u)" != 0 ] || printf 'User nobody\nGroup nogroup\n'
    for module in mpm_event authz_core mime dir autoindex deflate filter rewrite cgid alias headers env setenvif proxy proxy_http include; do
        echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
    done
    cat <<END
ServerRoot $PWD
ServerName localhost
Listen 127.0.0.1:$port
PidFile varying/pid
ErrorLog varying/error.log
DefaultRuntimeDir varying
ScriptSock varying/cgisock
ServerLimit 2
StartServers 2
ThreadsPerChild 25
MaxRequestWorkers 50
TypesConfig /etc/mime.types
DocumentRoot $PWD/site
FileETag None
AddOutputFilterByType DEFLATE text/html
ScriptAlias /cgi/ $PWD/cgi/
ProxyPass /proxied/ http://127.0.0.1:$port/
<Directory $PWD>
    Require all granted
    Options +Indexes +Includes
    IndexOptions SuppressLastModified
</Directory>
RewriteEngine on
RewriteRule ^/rewritten/(.*)\$ /\$1
AddOutputFilter INCLUDES .shtml
END
}

fetch() {
    curl -sS "$@" || echo "curl: $?"
}

work() {
    mkdir -p site/dir cgi
    seq 3000 >site/numbers.html
    echo 'before <!--#include virtual="/small.txt" --> after' >site/page.shtml
    echo small >site/small.txt
    touch site/dir/{a,b,c}.html
    printf '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n%%s " "$QUERY_STRING"; cat\n' >cgi/echo
    chmod 755 cgi/echo
    chmod 777 varying
    write_config >varying/apache2.conf
    apache2 -d "$PWD" -f varying/apache2.conf -t 2>varying/syntax
    start_server apache2 -d "$PWD" -f varying/apache2.conf -DFOREGROUND
    local server=${servers[-1]} url=http://127.0.0.1:$port
    retry curl -fsS "$url/small.txt"
    ab -q -n 3000 -c 20 -k "$url/numbers.html" 2>&1 | grep -E '^(Complete|Failed|Non-2xx)'
    ab -q -n 500 -c 10 -H 'Accept-Encoding: gzip' "$url/numbers.html" 2>&1 | grep -E '^(Complete|Failed|Non-2xx)'
    fetch --compressed "$url/numbers.html" | cksum
    fetch -d 'a body' "$url/cgi/echo?query"
    fetch "$url/proxied/small.txt" "$url/rewritten/small.txt" "$url/page.shtml"
    fetch "$url/dir/"
    kill -USR1 "$server"
    retry curl -fsS "$url/small.txt"
    fetch -o /dev/null -w '%{http_code}\n' "$url/missing"
    fetch -r 10-19 "$url/numbers.html"
    ab -q -n 500 -c 10 "$url/proxied/numbers.html" 2>&1 | grep -E '^(Complete|Failed|Non-2xx)'
    kill -TERM "$server"
    status wait "$server"
    servers=()
}
compare work
