#!/usr/bin/env bash
# prometheus.sh LAUNCHER PLANTED SHIM - the recipe of scripts/examples/ makes numbers that Prometheus' node exporter
# passes on, and Prometheus takes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
planted=$2 shim=$3
recipe=$(realpath -- "$(dirname -- "$0")/../../scripts/examples/prometheus.service")
needs prometheus-node-exporter promtool python3
cd "$work"
unset http_proxy https_proxy all_proxy
daemons=
trap 'for daemon in $daemons; do kill "$daemon" 2>/dev/null || :; done; rm -rf -- "$work"' EXIT

mkdir logs numbers
for _ in 1 2; do
    runs 3 env LD_PRELOAD="$shim" MM_FORMAT=json MM_LOG="$PWD/logs/%p.jsonl" "$planted"
done
command=$(sed -n 's/^ExecStart=\/bin\/sh -c "\(.*\)"$/\1/p' "$recipe" | sed "s|/var/log/server|$work/logs|; s|^mmshim|'$mmshim'|")
[ -n "$command" ] || fail 'no command in the recipe'
(cd numbers && sh -c "$command")
runs 0 promtool check metrics <numbers/mmshim.prom
silent stdout

# free_port - one that nobody listens at.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
# gets URL PATTERN - until what comes from there has it.
gets() {
    local i
    for ((i = 0; i < 200; i++)); do
        python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())' \
            "$1" >stdout 2>/dev/null || :
        ! grep -Eq -- "$2" stdout || return 0
        sleep 0.1
    done
    fail "no '$2' from $1: $(cat stdout daemon.log)"
}
exporter=$(free_port)
prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory="$PWD/numbers" \
    --web.listen-address="127.0.0.1:$exporter" >daemon.log 2>&1 &
daemons=$!
gets "http://127.0.0.1:$exporter/metrics" '^mmshim_bugs\{kind="double-free",program=".*/launcher_planted"\} 1$'
says stdout '^mmshim_findings\{.*\} 2$' '^mmshim_processes_with_findings 2$' '^node_textfile_scrape_error 0$'

type -P prometheus >/dev/null || { echo 'skipped: prometheus itself'; exit 0; }
cat >prometheus.yml <<END
global: {scrape_interval: 1s}
scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:$exporter']}]}]
END
server=$(free_port)
prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address="127.0.0.1:$server" >>daemon.log 2>&1 &
daemons="$daemons $!"
gets "http://127.0.0.1:$server/api/v1/query?query=sum(mmshim_findings)" '"value":\[[0-9.]+,"2"\]'
