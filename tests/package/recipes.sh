#!/usr/bin/env bash
# recipes.sh README WORK - the README's drop-in for services, laid over a service: systemd must have
# nothing to say.
set -euo pipefail
readme=$1 work=$2

if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: package.recipes (needs systemd-analyze)"
    exit 77
fi
rm -rf -- "$work"
mkdir -p -- "$work/server.service.d"
printf '[Service]\nExecStart=/bin/true\n' >"$work/server.service"
# The block of the section that begins with [Service].
awk '
    /^## / { wanted = $0 == "## Install" }
    /^```/ { block = wanted && $0 == "```ini" }
    block && !/^```/
' "$readme" >"$work/server.service.d/mmshim.conf"
grep -qx 'Environment=LD_PRELOAD=libmmshim.so' "$work/server.service.d/mmshim.conf"
said=$(cd -- "$work" && SYSTEMD_LOG_LEVEL=warning systemd-analyze verify ./server.service 2>&1)
if [ -n "$said" ]; then
    printf 'FAILED: %s\n' "$said"
    exit 1
fi
