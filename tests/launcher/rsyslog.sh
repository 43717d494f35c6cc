#!/usr/bin/env bash
# rsyslog.sh LAUNCHER PLANTED SHIM - MM_LOG=syslog reaches rsyslog, by the recipe of scripts/examples/, and no other
# socket than the log's; who has no stderr says so there once a tree. In a /dev of its own.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
planted=$2 shim=$3
recipe=$(realpath -- "$(dirname -- "$0")/../../scripts/examples/rsyslog.conf")
PATH=$PATH:/usr/sbin:/sbin
needs rsyslogd unshare
if [ "${4:-}" != inside ]; then
    unshare -m true 2>/dev/null || { echo 'skipped: needs the right to mount'; exit 77; }
    unshare -m "$0" "$@" inside
    exit
fi
cd "$work"

mkdir dev dev/shm
cp -a /dev/null /dev/zero dev/
ln -s /proc/self/fd dev/fd
mount --bind dev /dev
# The socket that the journal has besides is to be nobody's.
[ ! -d /run/systemd/journal ] || mount -t tmpfs none /run/systemd/journal
{
    # As Debian has it: modules first, then what is in rsyslog.d.
    printf 'module(load="imuxsock" SysSock.UsePIDFromSystem="off")\n'
    sed "s|/var/log/mmshim.jsonl|$work/mmshim.jsonl|" "$recipe"
    printf 'action(type="omfile" file="%s/rest")\n' "$work"
} >rsyslog.conf
rsyslogd -n -f "$work/rsyslog.conf" -i "$work/pid" >rsyslog.out 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null || :; rm -rf -- "$work"' EXIT
for ((i = 0; i < 200; i++)); do [ ! -S /dev/log ] || break; sleep 0.05; done

# waits_for FILE COUNT - until there are so many lines.
waits_for() {
    local i
    for ((i = 0; i < 200; i++)); do
        [ ! -e "$1" ] || [ "$(wc -l <"$1")" -lt "$2" ] || return 0
        sleep 0.05
    done
    fail "$1: $(cat "$1" rsyslog.out 2>&1)"
}

runs 3 env LD_PRELOAD="$shim" MM_LOG=syslog MM_FORMAT=json MM_STACKS=16 MM_SYMBOLIZE=1 "$planted"
silent stderr
waits_for mmshim.jsonl 2
runs 0 "$mmshim" report mmshim.jsonl
says stdout '^1\. double-free in drop ' '^1 bug in 1 process$'
# Text, which has many lines, is one message.
runs 3 env LD_PRELOAD="$shim" MM_LOG=syslog "$planted"
waits_for mmshim.jsonl 4
grep -q 'ERROR: mmshim: double-free.*#012 .*SUMMARY' mmshim.jsonl || fail "text: $(cat mmshim.jsonl)"
# Without stderr, and with nowhere to log to; but not where stderr alone is thrown away, nor where there is a log.
before=$(wc -l <mmshim.jsonl)
env LD_PRELOAD="$shim" "$planted" without 2>&- || :
env LD_PRELOAD="$shim" sh -c '"$0" without; "$0" without' "$planted" </dev/null >/dev/null 2>/dev/null || :
env LD_PRELOAD="$shim" "$planted" without 2>/dev/null || :
env LD_PRELOAD="$shim" MM_LOG="$work/log" "$planted" without 2>&- || :
env LD_PRELOAD="$shim" MM_LOG=syslog "$planted" || :
waits_for mmshim.jsonl $((before + 4))
[ "$(grep -c 'has no stderr' mmshim.jsonl)" -eq 2 ] || fail "without stderr: $(cat mmshim.jsonl)"

# Nobody listens: reports go to stderr.
kill "$daemon"
wait "$daemon" || :
runs 3 env LD_PRELOAD="$shim" MM_LOG=syslog "$planted"
says stderr 'MM_LOG=syslog: .*; reports go to stderr$' '^SUMMARY: mmshim: double-free'
