"""logs_test.py --shim FILE --logs FILE SCENARIO - processes write logs while they are killed, disks are full and
logs are rotated. No finding is lost that a log could take, and no line is torn."""

import argparse
import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
LIMIT = 64 << 10
here = tempfile.TemporaryDirectory(prefix="mmshim-logs-")
args = None


def path(name):
    return os.path.join(here.name, name)


class Process:
    """Makes so many findings once it is let go."""

    def __init__(self, findings, *more, stderr=subprocess.PIPE, limit=None, **options):
        environment = {"LD_PRELOAD": args.shim, "MM_FORMAT": "json", "MM_STACKS": "16"}
        environment.update({"MM_" + name: str(value) for name, value in options.items()})
        before = None
        if limit is not None:
            before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if stderr is None:
            before = lambda: os.close(2)
        self.process = subprocess.Popen([args.logs, str(findings), *more], env=environment, preexec_fn=before,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)

    def go(self):
        self.process.stdin.close()

    def end(self):
        """How many findings it had told before its end."""
        told = len(self.process.stdout.read())
        self.err = self.process.stderr.read().decode() if self.process.stderr else ""
        self.process.wait()
        return told


def all_end(processes):
    for process in processes:
        process.go()
    return sum(process.end() for process in processes)


def lines_of(text, killed=False):
    """The reports; every line is one. Who is killed may leave a part of one, which nobody prevents."""
    if killed:
        text = text[:text.rfind("\n") + 1]
    assert text == "" or text.endswith("\n"), text[-100:]
    return [json.loads(line) for line in text.splitlines()]


def findings_in(*names, killed=False):
    """Of which process and stack, each once."""
    found = []
    for name in names:
        with open(name, encoding="utf-8") as log:
            found += [(line["pid"], str(line["frames"])) for line in lines_of(log.read(), killed)
                      if line["type"] == "finding"]
    assert len(found) == len(set(found))
    return found


def at_once():
    """200 processes, one log."""
    processes = [Process(10, LOG=path("log")) for _ in range(200)]
    assert all_end(processes) == 2000
    assert len(findings_in(path("log"))) == 2000
    assert not any(process.err for process in processes)


def killed():
    """What a process had told before it was killed is there, and nothing is there in part."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for turn in range(20):
            log = path(f"{number}.{turn}")
            process = Process(128, LOG=log, MAX_REPORTS=1000)
            process.go()
            process.process.stdout.read(1 + 3 * turn)
            process.process.send_signal(number)
            told = 1 + 3 * turn + process.end()
            assert process.process.returncode in (-number, 0), process.process.returncode
            assert told <= len(findings_in(log, killed=number == signal.SIGKILL)) <= told + 1


def check_full(log, processes):
    """What the log did not take went to stderr, a pipe that holds that much."""
    told = all_end(processes)
    in_log = findings_in(log)
    elsewhere = [line for process in processes for line in lines_of(process.err) if line["type"] == "finding"]
    assert in_log and elsewhere and len(in_log) + len(elsewhere) == told, (len(in_log), len(elsewhere), told)
    notes = [line["text"] for process in processes for line in lines_of(process.err) if line["type"] == "note"]
    assert notes and all("reports go to stderr" in note for note in notes), notes
    return notes


def limited():
    """A file's size may be limited, and more may be written when the limit is gone."""
    notes = check_full(path("log"), [Process(4, LOG=path("log"), limit=LIMIT) for _ in range(20)])
    assert all("File too large" in note for note in notes), notes
    assert os.path.getsize(path("log")) <= LIMIT
    before = len(findings_in(path("log")))
    assert all_end([Process(10, LOG=path("log"))]) == 10
    assert len(findings_in(path("log"))) == before + 10


def full():
    """The same of a disk."""
    os.mkdir(path("disk"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={LIMIT}", "none", path("disk")], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        skip("needs the right to mount")
    try:
        notes = check_full(path("disk/log"), [Process(4, LOG=path("disk/log")) for _ in range(20)])
        assert all("No space left" in note for note in notes), notes
    finally:
        subprocess.run(["umount", path("disk")], check=True)


def renamed():
    """While processes write: each finding is in one of the logs."""
    processes = [Process(100, LOG=path("log")) for _ in range(20)]
    for process in processes:
        process.go()
    for number in range(5):
        time.sleep(0.05)
        if os.path.exists(path("log")):
            os.rename(path("log"), path(f"log.{number}"))
    assert all_end(processes) == 2000
    assert len(findings_in(*glob.glob(path("log*")))) == 2000


def logrotate():
    """By logrotate, with and without copytruncate, and with a log that it makes anew."""
    if shutil.which("logrotate", path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
        skip("needs logrotate")
    for way in ("nocreate", "create", "copytruncate"):
        log = path(f"{way}.log")
        process = Process(100, LOG=log)
        process.go()
        with open(path("configuration"), "w", encoding="ascii") as file:
            file.write(f"{log} {{\n  rotate 9\n  missingok\n  {way}\n}}\n")
        for _ in range(3):
            process.process.stdout.read(20)
            # Between a copy and a cut what is written is lost, as logrotate's manual says.
            process.process.send_signal(signal.SIGSTOP)
            os.waitpid(process.process.pid, os.WUNTRACED)
            subprocess.run(["logrotate", "-f", "-s", path("state"), path("configuration")], check=True,
                           env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
            process.process.send_signal(signal.SIGCONT)
        process.end()
        logs = glob.glob(log + "*")
        assert len(logs) == (3 if way == "nocreate" and not os.path.exists(log) else 4), logs
        assert len(findings_in(*logs)) == 100


def without_stderr():
    """Closed from the start on, and as daemons close it."""
    for name, more in (("closed", []), ("daemon", ["daemon"])):
        process = Process(10, *more, stderr=None if name == "closed" else subprocess.PIPE, LOG=path(name))
        assert all_end([process]) == 10
        deadline = time.monotonic() + 20
        while "summary" not in open(path(name), encoding="utf-8").read():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(findings_in(path(name))) == 10
        assert process.err == ""
    process = Process(0, stderr=None, VERBOSE=1, LOG=path("no/such/folder"))
    assert all_end([process]) == 0 and process.process.returncode == 0


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def main():
    global args
    parser = argparse.ArgumentParser()
    for name in ("shim", "logs"):
        parser.add_argument("--" + name)
    parser.add_argument("scenario")
    args = parser.parse_args()
    globals()[args.scenario]()


main()
