#!/usr/bin/env bash
# terminal.sh LAUNCHER - a program keeps the terminal: it is one for it, in its size, and its keys interrupt it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
needs python3

runs 0 python3 - "$mmshim" <<'END'
import fcntl, os, pty, struct, sys, termios

script = 'test -t 0 && test -t 1 && test -t 2 && stty size; trap "echo interrupted; exit 7" INT; echo ready; while :; do sleep 0.1; done'
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 17, 71, 0, 0))
    os.execv(sys.argv[1], [sys.argv[1], "sh", "-c", script])
seen = b""
while b"ready" not in seen:
    seen += os.read(terminal, 1000)
os.write(terminal, b"\x03")
try:
    while True:
        more = os.read(terminal, 1000)
        if not more:
            break
        seen += more
except OSError:  # how Linux says that the other end is closed
    pass
status = os.waitpid(pid, 0)[1]
print(seen.decode())
sys.exit(0 if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 7 else f"status {status}: {seen}")
END
tr -d '\r' <"$work/stdout" >"$work/lines"
mv "$work/lines" "$work/stdout"
says stdout '^17 71$' 'interrupted'
