"""mmshim_pytest - a test fails in whose time the heap was misused, one that is to fail, too.

    PYTHONPATH=/usr/share/mmshim mmshim --tree=DIR python3 -m pytest -p mmshim_pytest

Misuse is looked for in what the tree's processes have reported, after the setup, the call and the
teardown of each test; with pytest-xdist, in what the worker itself has. What comes later still
fails the session, and by --tree whatever comes after that.
"""

import ctypes
import glob
import json
import os

import pytest


class Log:
    """What is new in the files that MM_LOG names."""

    def __init__(self, pattern):
        before, number, behind = pattern.replace("%%", "\0").partition("%p")
        if not number or "%" in before + behind or os.environ.get("MM_FORMAT") != "json":
            raise pytest.UsageError("mmshim_pytest: to be run by mmshim --tree=DIR python3 -m pytest")
        before, behind = before.replace("\0", "%"), behind.replace("\0", "%")
        own = "PYTEST_XDIST_WORKER" in os.environ
        self.files = glob.escape(before) + (str(os.getpid()) if own else "*") + glob.escape(behind)
        self.read = {}
        self.check = getattr(ctypes.CDLL(None), "mem_mngr_check", None)
        if self.check is None:
            raise pytest.UsageError("mmshim_pytest: libmmshim.so is not there")

    def new(self):
        """Findings that were not returned before."""
        self.check()
        findings = []
        for path in sorted(glob.glob(self.files)):
            with open(path, "rb") as file:
                file.seek(self.read.get(path, 0))
                lines, end, _ = file.read().rpartition(b"\n")
            self.read[path] = self.read.get(path, 0) + len(lines + end)
            findings += [finding for finding in map(parse, lines.splitlines()) if finding]
        return findings


def parse(line):
    """The finding of a line, None for any other."""
    try:
        report = json.loads(line)
    except ValueError:
        return None
    return report if isinstance(report, dict) and report.get("type") == "finding" else None


def frame_text(frame):
    name = frame.get("function") or frame.get("symbol") or "?"
    if "line" in frame:
        return f"    {name} {frame.get('file')}:{frame['line']}"
    return f"    {name} ({frame.get('module')}+{frame.get('offset')})"


def text(findings):
    lines = []
    for finding in findings:
        lines.append(f"mmshim: {finding.get('kind')}: {finding.get('description')}")
        lines += map(frame_text, finding.get("frames", []))
        for part in ("freed", "allocated"):
            if part in finding:
                lines.append(f"{part} by:")
                lines += map(frame_text, finding[part].get("frames", []))
    return "\n".join(lines)


class Plugin:
    def __init__(self, log):
        self.log = log
        self.late = []

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        report = outcome.get_result()
        findings = self.log.new()
        if not findings:
            return
        before = "" if report.passed or report.longrepr is None else f"{report.longrepr}\n"
        report.outcome = "failed"
        report.longrepr = before + text(findings)
        vars(report).pop("wasxfail", None)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self, session):
        yield
        self.late = self.log.new()
        if self.late and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self.late:
            terminalreporter.section("mmshim: after the last test")
            terminalreporter.write_line(text(self.late))


def pytest_configure(config):
    config.pluginmanager.register(Plugin(Log(os.environ.get("MM_LOG", ""))), "mmshim")
