#!/bin/bash
# systemd-analyze, systemd-escape, journalctl and others: units checked, calendars computed, files of the system parsed.
# packages: systemd
. "${0%/*}/../compare.sh"
need systemd-analyze systemd-escape systemd-tmpfiles

work() {
    printf '[Unit]\nDescription=A unit\nAfter=network.target\n[Service]\nExecStart=/bin/true\nProtectSystem=strict\nMemoryMax=1G\n[Install]\nWantedBy=multi-user.target\n' >work.service
    printf '[Timer]\nOnCalendar=Mon *-*-* 03:00\n' >work.timer
    status systemd-analyze verify --man=no ./work.service ./work.timer
    systemd-analyze calendar --base-time='2026-11-23 00:00:00' --iterations=20 'Mon..Fri *-*-1..7 12:00/15' | grep -v 'From now'
    systemd-analyze timespan '3h 20min 5s'
    systemd-analyze security --offline=true ./work.service | cksum
    systemd-analyze unit-paths | cksum
    systemd-analyze syscall-filter | cksum
    systemd-analyze exit-status | cksum
    systemd-analyze cat-config systemd/system.conf | cksum
    systemd-escape --path /a/b-c 'd e'
    systemd-tmpfiles --cat-config | cksum
    systemd-id128 -a "$(printf '0%.0s' {1..32})" show 2>/dev/null | head -n 3 || true
    printf 'd %s/made 0755\nw %s/made/file - - - - text\n' "$PWD" "$PWD" >conf
    systemd-tmpfiles --create "$PWD/conf" || true
}
compare work
