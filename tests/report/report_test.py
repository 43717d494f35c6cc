"""report_test.py --shim FILE --cases FILE ... SCENARIO - runs processes under the shim and checks what they
tell. Each scenario is a function below; the assertion that fails says what was wrong."""

import argparse
import calendar
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import schema

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
LINES = schema.Schema(os.path.join(HERE, "report.schema.json"))
HINT = "    (run with MM_STACKS=16 to see who allocated and first freed it)"
KINDS = ("double-free", "interior-free", "foreign-free")
TOOLS = ("llvm-symbolizer", "eu-addr2line", "addr2line")
here = tempfile.TemporaryDirectory(prefix="mmshim-report-")
args = None


class Run:
    """What became of a process."""

    def __init__(self, program, *arguments, status=0, **options):
        environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": args.shim, "LIBRARY": args.library}
        environment.update({"MM_" + name: str(value) for name, value in options.items()})
        if "MM_PATH" in environment:  # for the tools there, by a shim that has no mmshim-symbolize beside it
            environment["PATH"] = environment.pop("MM_PATH")
            environment["LD_PRELOAD"] = options.get("SHIM", shim_beside())
            environment.pop("MM_SHIM", None)
        done = subprocess.run([program, *arguments], env=environment, cwd=here.name, timeout=100,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.err = done.stderr.decode("utf-8", "surrogateescape")
        self.out = done.stdout.decode()
        pid = re.search(r"^PID=(\d+)$", self.out, re.M)
        self.pid = int(pid[1]) if pid else None
        assert done.returncode == status, (done.returncode, self.out, self.err)


def cases(name, **options):
    return Run(args.cases, name, **options)


def shim_beside(script=None):
    """A path of the shim, with nothing or a mmshim-symbolize beside it."""
    folder = folder_with(*["mmshim-symbolize"] if script else [], script=script)
    os.symlink(args.shim, os.path.join(folder, "libmmshim.so"))
    return os.path.join(folder, "libmmshim.so")


def path(name):
    return os.path.join(here.name, name)


def read(name):
    with open(path(name), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def json_lines(text):
    """The objects of a log, each of them as the schema says."""
    assert text == "" or text.endswith("\n"), text[-200:]
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        errors = LINES.errors(line)
        assert not errors, (errors, line)
    return lines


def of_type(lines, name):
    return [line for line in lines if line["type"] == name]


AGAIN = re.compile(r"==\d+== mmshim: again, (\d+) times so far: ((?:double|interior|foreign)-free.*)$")


DESCRIPTION = re.compile(r"    [^#( ]")


def told_again(text):
    """How often each finding came, as far as that was told: each time twice as often at least."""
    times = {}
    for line in text.splitlines():
        if (match := AGAIN.match(line)) is not None:
            count = int(match[1])
            assert count & (count - 1) == 0, line
            times.setdefault(match[2], []).append(count)
    return times


def split_reports(text):
    """The reports of a text, as lists of lines; each whole, and nothing between but notes. What came
    again is for told_again(): when it is told is a matter of time."""
    frame = re.compile(r"    #(\d+) 0x[0-9a-f]+( in .+)?( \(.+\+0x[0-9a-f]+\))( \(BuildId: [0-9a-f]+\))?$")
    reports, notes, lines = [], [], iter(text.splitlines())
    for line in lines:
        if re.match(r"==\d+== mmshim: ", line):
            if AGAIN.match(line) is None:
                notes.append(line)
            continue
        assert re.match(r"==\d+==ERROR: mmshim: (double|interior|foreign)-free of 0x[0-9a-f]+ by [a-z\[\]]+"
                        r" in thread \d+ \(.*\)$", line), line
        report = [line]
        line = next(lines)
        assert DESCRIPTION.match(line), line
        while DESCRIPTION.match(line):
            report[0] += "\n" + line
            line = next(lines)
        while (match := frame.match(line)) is not None:
            assert int(match[1]) == len(report) - 1, line
            report.append(line)
            line = next(lines)
        if "foreign" not in report[0]:
            assert line == HINT, line
            line = next(lines)
        assert line.startswith("SUMMARY: mmshim: "), line
        reports.append(report + [line])
    return reports, notes


def line_of(mark, source="cases.c"):
    with open(os.path.join(HERE, source), encoding="utf-8") as file:
        return 1 + [mark in line for line in file].index(True)


def totals(summary):
    names = ("double_free", "interior_free", "foreign_free", "hidden", "suppressed", "uncertain")
    return tuple(summary[name] for name in names)


# --- the format ---


def schema_refuses():
    """A line that lacks, adds or bends anything is none."""
    good = json_lines(cases("one", FORMAT="json", SYMBOLIZE=1).err)[0]
    for name in good:
        bad = {key: value for key, value in good.items() if key != name}
        assert bool(LINES.errors(bad)) == (name not in ("thread", "call", "own_frame")), name
        assert LINES.errors({**good, name: ["bent"]}), name
    assert LINES.errors({**good, "more": 1})
    for name in good["frames"][0]:
        assert LINES.errors({**good, "frames": [{**good["frames"][0], name: ["bent"]}]}), name


def every_field():
    before = time.time()
    run = cases("one", FORMAT="json", SYMBOLIZE=1)
    finding, summary = json_lines(run.err)
    for line in (finding, summary):
        moment = time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")
        assert before - 1 <= calendar.timegm(moment) <= time.time() + 1
        assert line["host"] == os.uname().nodename
        assert line["pid"] == run.pid
        assert line["program"] == os.path.realpath(args.cases)
    assert finding["kind"] == "double-free"
    slot = re.fullmatch(r"a block of up to 48 bytes, freed before; slot (\d+) of 48 bytes, batch (0x[0-9a-f]+)", finding["description"])
    assert int(finding["address"], 16) == int(slot[2], 16) + 48 * (int(slot[1]) - 1)
    assert finding["thread"] == {"id": run.pid, "name": os.path.basename(args.cases)[:15]}
    assert [frame.get("symbol") for frame in finding["frames"][:2]] == ["release", "one"]
    frame = finding["frames"][0]
    assert frame["module"] == os.path.realpath(args.cases)
    assert (int(frame["address"], 16) - int(frame["offset"], 16)) % 4096 == 0
    assert 0 < int(frame["symbol_offset"], 16) < 64
    assert totals(summary) == (1, 0, 0, 0, 0, 0)
    if shutil.which("readelf"):
        notes = subprocess.run(["readelf", "-n", args.cases], capture_output=True, text=True, check=True)
        build_id = re.search(r"Build ID: ([0-9a-f]+)", notes.stdout)
        assert frame.get("build_id") == (build_id[1] if build_id else None)
    if any(shutil.which(tool) for tool in TOOLS):
        assert frame["function"] == "release" and os.path.basename(frame["file"]) == "cases.c"
        assert frame["line"] in (line_of("/* HERE */"), line_of("/* HERE */") + 1)
    if shutil.which("jq"):
        done = subprocess.run(["jq", "-e", "-r", ".type"], input=run.err, capture_output=True, text=True,
                              check=True)
        assert done.stdout == "finding\nsummary\n"


def every_misuse():
    """The programs of tests/misuse, in the other format: as many findings, of the same kinds."""
    for program in (args.misuse, args.situations):
        usage = subprocess.run([program], capture_output=True, text=True, check=False).stdout
        names = [name.strip() for name in usage.splitlines()[1:]]
        assert len(names) > 10
        for name in names:
            if any(part in name for part in ("fd2", "at_once", "another_name", "exit_code")):
                continue
            run = Run(program, name, status=23, FORMAT="json")
            ours = "".join(line for line in run.err.splitlines(True) if not line.startswith("-- "))
            lines = json_lines(ours)
            found = [line["kind"] for line in of_type(lines, "finding")]
            for summary in of_type(lines, "summary"):
                assert sum(totals(summary)[:3]) == len(found) + summary["hidden"], (name, run.err)
            kind = name.split("_")[0] + "-free"
            assert kind not in KINDS or set(found) == {kind}, (name, found)


def escapes():
    strange = path('a "quoted" \\ name\x01 \u00e9 \udcff')
    shutil.copy(args.cases, strange)
    finding, _ = json_lines(Run(strange, "thread-name", FORMAT="json").err)
    assert finding["program"] == strange.replace("\udcff", "\ufffd")
    assert finding["thread"]["name"] == 'q"\\?\ufffd\u00e9\ufffd\ufffd'
    assert finding["frames"][0]["module"] == finding["program"]


def controls():
    """What a terminal would obey is in none of the names."""
    strange = path("bold\033[1m\u009b1m\udc9b\u00e9")
    shutil.copy(args.cases, strange)
    run = Run(strange, "mapped-file", **{"\033[5m": 1})
    reports, notes = split_reports(run.err)
    assert f"    {here.name}/red?[31m?31m?\u00e9, a mapped file" in reports[0][0], reports
    assert f"({here.name}/bold?[1m?1m?\u00e9+0x" in reports[0][1], reports
    assert "MM_?[5m: no such option" in notes[0], notes
    assert not re.search("[^ -~\n\u00e9]", run.err), run.err
    run = Run(strange, "thread-name")
    assert '(q"\\??\u00e9??)\n' in run.err, run.err
    assert not re.search("[^ -~\n\u00e9]", run.err), run.err


def long_names():
    """Symbols of many KiB are cut, none is left out."""
    [report], _ = split_reports(cases("long-names").err)
    name = "long_name_of_16_" * 256
    for i in range(1, 15):
        assert f" in {name[:256]}...+0x" in report[1 + i], report[1 + i]
    finding, _ = json_lines(cases("long-names", FORMAT="json", STACKS=16).err)
    assert len(finding["frames"]) == 16 and finding["freed"]["frames"] and finding["allocated"]["frames"]
    for frame in finding["frames"][1:15]:
        shown = frame["symbol"].removesuffix("...")
        assert shown != frame["symbol"] and len(shown) >= 256 and name.startswith(shown), frame


# --- told once ---


def identical():
    """More than a million: one report a stack and kind, exact counts, and no more memory (see cases.c)."""
    run = cases("million")
    reports, notes = split_reports(run.err)
    summaries = [report[-1].removeprefix("SUMMARY: mmshim: ") for report in reports]
    assert set(told_again(run.err)) == set(summaries), run.err
    assert len(reports) == 6, run.err
    assert notes == [f"=={run.pid}== mmshim: 1200006 bad frees: 200001 double, 400002 interior, "
                     "600003 foreign; 1200000 not shown"], notes


def again():
    """What came often is told as it comes, at powers of two and once a second: a signal ends it all."""
    run = cases("again", status=-9)
    reports, notes = split_reports(run.err)
    assert len(reports) == 1 and not notes, run.err
    place = reports[0][-1].removeprefix("SUMMARY: mmshim: ")
    assert " in release+0x" in place and told_again(run.err) == {place: [2, 8]}, run.err
    first, *rest = json_lines(cases("again", FORMAT="json", status=-9).err)
    assert [(line["type"], line["times"]) for line in rest] == [("again", 2), ("again", 8)], rest
    for line in rest:
        assert all(line[name] == first[name] for name in ("kind", "address", "frames")), line
    run = cases("again", SUPPRESSIONS=with_rules("double-free:release"), status=-9)
    assert run.err == "", run.err


def so_far():
    """What is beyond MM_MAX_REPORTS is told in the same way, all together."""
    run = cases("again", MAX_REPORTS=0, status=-9)
    head = f"=={run.pid}== mmshim: so far "
    assert split_reports(run.err) == ([], [
        head + f"{n} bad frees: {n} double, 0 interior, 0 foreign; {n} not shown" for n in (2, 8)]), run.err
    lines = json_lines(cases("again", MAX_REPORTS=0, FORMAT="json", status=-9).err)
    assert [line["type"] for line in lines] == ["so_far"] * 2
    assert [totals(line) for line in lines] == [(n, 0, 0, n, 0, 0) for n in (2, 8)]
    run = cases("stacks", MAX_REPORTS=1)
    assert split_reports(run.err)[1][0] == (f"=={run.pid}== mmshim: so far 3 bad frees: 0 double, "
                                            "0 interior, 3 foreign; 2 not shown"), run.err


def stacks():
    """Eight stacks that have kind, caller and depth in common, a hundred times each."""
    run = cases("stacks")
    reports, notes = split_reports(run.err)
    assert len(reports) == 8
    assert notes[-1].endswith("800 bad frees: 0 double, 0 interior, 800 foreign; 792 not shown")


# --- many at once ---


def check_threads(lines):
    findings = of_type(lines, "finding")
    assert len(findings) == 512 and len({line["thread"]["id"] for line in findings}) == 64
    assert totals(of_type(lines, "summary")[0]) == (0, 0, 512, 0, 0, 0)


def threads_text():
    reports, notes = split_reports(cases("threads", MAX_REPORTS=1000).err)
    assert len(reports) == 512
    assert notes[-1].endswith(" 512 bad frees: 0 double, 0 interior, 512 foreign")
    reports, notes = split_reports(cases("threads-at-one-stack").err)
    assert len(reports) == 1
    assert notes[-1].endswith(" 64000 bad frees: 0 double, 0 interior, 64000 foreign; 63999 not shown")


def threads_json():
    """Lines longer than what a pipe takes in one piece, by a path that each frame names."""
    folder = path("a" * 200)
    os.mkdir(folder)
    program = shutil.copy(args.cases, folder)
    run = Run(program, "threads", MAX_REPORTS=1000, FORMAT="json")
    assert max(map(len, run.err.splitlines())) > 4096
    check_threads(json_lines(run.err))


def threads_symbolized():
    run = cases("threads", MAX_REPORTS=16, FORMAT="json", SYMBOLIZE=1)
    lines = json_lines(run.err)
    assert len(of_type(lines, "finding")) == 16 and not of_type(lines, "note"), run.err[:1000]
    assert totals(of_type(lines, "summary")[0])[:4] == (0, 0, 512, 496)


def threads_log():
    cases("threads", MAX_REPORTS=1000, FORMAT="json", LOG=path("threads"))
    check_threads(json_lines(read("threads")))


def slow_reader():
    """Nobody reads for longer than anybody waits, then all is there: whole, with its sources."""
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    try:
        while os.write(ends[1], b"\n" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(ends[1], True)
    environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": args.shim, "MM_FORMAT": "json"}
    if any(shutil.which(tool) for tool in TOOLS):
        environment["MM_SYMBOLIZE"] = "1"
    with subprocess.Popen([args.cases, "threads-once"], env=environment, stdout=subprocess.DEVNULL,
                          stderr=ends[1]) as process:
        os.close(ends[1])
        time.sleep(12)
        with open(ends[0], encoding="utf-8") as file:
            lines = json_lines(file.read().lstrip("\n"))
        assert process.wait() == 0
    findings = of_type(lines, "finding")
    assert len(findings) == 64 and len({str(line["frames"]) for line in findings}) == 64
    assert totals(of_type(lines, "summary")[0]) == (0, 0, 64, 0, 0, 0)
    if "MM_SYMBOLIZE" in environment:
        assert all(line["frames"][0].get("function") == "release" for line in findings), findings


def unusual_places():
    for name in ("signal-handler", "in-dlopen", "own-stack"):
        for options in ({}, {"SYMBOLIZE": 1}):
            lines = json_lines(cases(name, FORMAT="json", **options).err)
            assert [line["type"] for line in lines] == ["finding", "summary"], lines


# --- the file ---


def log_name():
    before = int(time.time())
    run = cases("one", LOG=path("log.%p.%e.%h.%t.%%"))
    assert run.err == ""
    [name] = os.listdir(here.name)
    program, host = os.path.basename(args.cases), os.uname().nodename
    moment = re.fullmatch(f"log\\.{run.pid}\\.{re.escape(program)}\\.{re.escape(host)}\\.(\\d+)\\.%", name)
    assert before <= int(moment[1]) <= time.time(), name
    reports, notes = split_reports(read(name))
    assert len(reports) == 1 and len(notes) == 1


def log_children():
    run = cases("in-fork", LOG=path("own.%p"))
    child = int(re.search(r"^CHILD=(\d+) 3$", run.out, re.M)[1])
    for pid in (run.pid, child):
        text = read(f"own.{pid}")
        assert len(split_reports(text)[0]) == 1
        assert set(re.findall(r"^==(\d+)==", text, re.M)) == {str(pid)}
    cases("in-fork", LOG=path("shared"))
    assert len(split_reports(read("shared"))[0]) == 2
    run = cases("in-exec", LOG=path("exec"), FORMAT="json")
    lines = json_lines(read("exec"))
    assert [line["type"] for line in lines] == ["finding", "finding", "summary"]
    assert {line["pid"] for line in lines} == {run.pid}


def log_vfork():
    """What a vfork()'s child cannot write there goes to stderr; its parent goes on with the log."""
    for name in ("own.%p", "shared"):
        run = cases("vfork-without-files", LOG=path(name))
        reports, notes = split_reports(run.err)
        assert len(reports) == 1 and not notes, run.err
        reports, notes = split_reports(read(name.replace("%p", str(run.pid))))
        assert len(reports) == 1
        assert notes == [f"=={run.pid}== mmshim: 2 bad frees: 0 double, 0 interior, 2 foreign"], notes


def log_unwritable():
    for pattern, why in (("none/%p", "No such file or directory"), (".", "Is a directory"),
                         ("%q", "% is to be followed by one of p, e, h, t, %"),
                         ("%", "% is to be followed by one of p, e, h, t, %")):
        run = cases("kinds", LOG=pattern)
        reports, notes = split_reports(run.err)
        assert notes[0] == f"=={run.pid}== mmshim: MM_LOG={pattern}: {why}; reports go to stderr", notes
        assert len(reports) == 4 and len(notes) == 2
        lines = json_lines(cases("kinds", LOG=pattern, FORMAT="json").err)
        assert [line["type"] for line in lines if line["type"] != "again"] == (
            ["note"] + ["finding"] * 4 + ["summary"])


def log_full():
    run = cases("kinds", LOG="/dev/full")
    reports, notes = split_reports(run.err)
    assert len(reports) == 4 and len(notes) == 2
    assert notes[0].endswith(" mmshim: MM_LOG=/dev/full: No space left on device; reports go to stderr")
    os.mkfifo(path("unread"))
    _, notes = split_reports(cases("one", LOG=path("unread")).err)
    assert "No such device or address" in notes[0]


def log_taken():
    """The program closes the log, opens its own files in its place, has few; nothing is lost, and
    nothing gets into those (see cases.c)."""
    for name, count in (("closes-all-files", 5), ("without-stderr", 5), ("few-files", 1)):
        assert cases(name, LOG=path(name)).err == ""
        assert len(split_reports(read(name))[0]) == count, name
    run = cases("takes-all-files", LOG=path("log"))  # until no number is left to open it with
    reports, notes = split_reports(read("log") + run.err)
    assert len(reports) == 6 and "Too many open files; reports go to stderr" in notes[0]


# --- what follows ---


def exit_status():
    cases("one", EXITCODE=77, status=77)
    cases("one", EXITCODE=0)
    cases("in-exec", EXITCODE=77, status=77)


def children_status():
    run = cases("children", EXITCODE=77)
    assert run.out.split()[1:] == ["3", "77"] * 4, run.out
    assert len(re.findall(r"mmshim: 1 bad free:", run.err)) == 4
    run = cases("children")
    assert run.out.split()[1:] == ["3", "3"] * 4, run.out
    run = cases("in-vfork", EXITCODE=77, status=77)
    assert run.out.split()[1:] == ["3"], run.out
    assert split_reports(run.err)[1] == [f"=={run.pid}== mmshim: 2 bad frees: 0 double, 0 interior, 2 foreign"]
    cases("in-vfork", status=4)


# --- suppressions ---


def with_rules(*rules):
    with open(path("rules"), "w", encoding="utf-8") as file:
        file.write("\n".join(rules))
    return path("rules")


def suppressions():
    program = os.path.basename(args.cases)
    for rules in (["double-free:release"], ["# no", "", "leak:x", "double-free:^rel*se$"],
                  ["  double-free: main  "], ["double-free:" + program], [f"double-free:/{program}$"]):
        run = cases("one", EXITCODE=77, ON_ERROR="abort", SUPPRESSIONS=with_rules(*rules))
        _, notes = split_reports(run.err)
        assert notes == [f"=={run.pid}== mmshim: 0 bad frees: 0 double, 0 interior, 0 foreign; "
                         "1 more suppressed"], (rules, run.err)
    for rules in (["foreign-free:release"], ["leak:release"], ["double-free:^elease"],
                  ["double-free:releas$"], ["#double-free:release"], []):
        cases("one", EXITCODE=77, status=77, SUPPRESSIONS=with_rules(*rules))
    run = cases("thousands", FORMAT="json", SUPPRESSIONS=with_rules("foreign-free:release"))
    lines = json_lines(run.err)
    assert [line["kind"] for line in of_type(lines, "finding")] == ["interior-free", "double-free"]
    assert totals(lines[-1]) == (1000, 2000, 0, 2998, 3000, 0)
    if any(shutil.which(tool) for tool in TOOLS):
        run = cases("inlined", SYMBOLIZE=1, SUPPRESSIONS=with_rules("double-free:^release_inlined$"))
        assert "1 more suppressed" in run.err


def broken_suppressions():
    rules = with_rules("# fine", "double-free:no such name", "no colon", "no-such-kind:x", "foreign-free: ")
    run = cases("one", SUPPRESSIONS=rules)
    reports, notes = split_reports(run.err)
    assert len(reports) == 1
    head = f"=={run.pid}== mmshim: MM_SUPPRESSIONS={rules}:"
    assert notes[:3] == [
        head + "3: no colon, ignored",
        head + "4: the kind is not one of double-free, interior-free, foreign-free, overflow, underflow, use-after-free, mismatched-free, mismatched-size, bad-query, leak, possible-leak, as reports name them, ignored",
        head + "5: no pattern, ignored"], notes
    run = cases("one", SUPPRESSIONS=path("none"))
    _, notes = split_reports(run.err)
    assert notes[0] == (f"=={run.pid}== mmshim: MM_SUPPRESSIONS={path('none')}: No such file or directory; "
                        "nothing is suppressed")


def only():
    program = os.path.basename(args.cases)
    for patterns in (program, "other:" + program, "other,^/*" + program + "$"):
        assert len(split_reports(cases("one", ONLY=patterns).err)[0]) == 1
    for patterns in ("libc.so", program + "x", "^" + program):
        run = cases("one", ONLY=patterns)
        assert "1 more suppressed" in run.err and not split_reports(run.err)[0]


# --- sources ---


def folder_with(*names, script=None):
    folder = tempfile.mkdtemp(dir=here.name)
    for name in names:
        if script is None:
            os.symlink(shutil.which(name), os.path.join(folder, name))
        else:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(script)
            os.chmod(os.path.join(folder, name), 0o755)
    return folder


def tools():
    there = [tool for tool in TOOLS if shutil.which(tool)]
    if not there:
        print("skipped: needs one of", *TOOLS)
        sys.exit(SKIPPED)
    ways = [{"PATH": folder_with(tool)} for tool in there]
    if os.path.exists(os.path.join(os.path.dirname(args.shim), "mmshim-symbolize")):
        ways.append({"PATH": folder_with(), "SHIM": args.shim})
    for way in ways:
        run = cases("inlined", SYMBOLIZE=1, **way)
        [report], _ = split_reports(run.err)
        source = re.escape(os.path.join(HERE, "cases.c"))
        for i, (function, mark) in enumerate((("release_inlined", "INLINED"),
                                              ("release_by_inlined", "OUTER"))):
            line = line_of(f"/* {mark} */")
            assert re.search(f" in {function} {source}:({line}|{line + 1}) \\(", report[1 + i]), report
        line = line_of("/* INLINED */")
        assert re.fullmatch(f"SUMMARY: mmshim: double-free {source}:({line}|{line + 1}) in release_inlined",
                            report[-1]), report
    run = cases("no-child", SYMBOLIZE=1, PATH=folder_with(there[0]))
    assert " in release " in run.err
    cases("without-standard-files", SYMBOLIZE=1, PATH=folder_with(there[0]), LOG=path("log"))
    reports, _ = split_reports(read("log"))
    assert len(reports) == 2 and all(" in release /" in report[1] for report in reports), reports


def own_tool():
    """The one beside the shim comes first, and where it doesn't start, PATH's."""
    answer = "for a; do case $a in 0x*) echo $a; echo found; echo /%s:7;; esac; done\n"
    other = folder_with("addr2line", script="#!/bin/sh\n" + answer % "other")
    for script, file in (("#!/bin/sh\n" + answer % "own", "own"), ("#!/bin/sh\nexit 127\n", "other"),
                         ("#!/nowhere/interpreter\n", "other")):
        run = cases("kinds", SYMBOLIZE=1, PATH=other, SHIM=shim_beside(script))
        reports, _ = split_reports(run.err)
        assert len(reports) == 4, run.err
        for report in reports:
            assert f" in found /{file}:7 (" in report[1], report
    run = cases("kinds", SYMBOLIZE=1, PATH=folder_with(), SHIM=shim_beside("#!/bin/sh\nexit 127\n"))
    _, notes = split_reports(run.err)
    assert "the tool could not be run" in notes[0], run.err


def no_tool():
    run = cases("kinds", SYMBOLIZE=1, PATH=folder_with())
    reports, notes = split_reports(run.err)
    assert len(reports) == 4 and " in release+0x" in reports[0][1]
    assert notes[0].endswith(": none of llvm-symbolizer, eu-addr2line and addr2line is in PATH")


def hanging_tool():
    start = time.monotonic()
    run = cases("kinds", SYMBOLIZE=1, PATH=folder_with("addr2line", script="#!/bin/sh\nsleep 100\n"))
    assert time.monotonic() - start < 60
    reports, notes = split_reports(run.err)
    assert len(reports) == 4 and len(notes) == 2
    assert "the tool could not be run, or took longer than 5 s" in notes[0]


def chatty_tool():
    """What a tool writes without end is cut; it is of no use, and no harm."""
    run = cases("kinds", SYMBOLIZE=1, PATH=folder_with("addr2line", script="#!/bin/sh\nexec yes 0x1\n"))
    reports, notes = split_reports(run.err)
    assert len(reports) == 4 and len(notes) == 1, run.err
    script = "#!/bin/sh\nshift 6\nfor a; do echo $a; echo found; echo /file:7; done\nexec yes 0x1\n"
    run = cases("one", SYMBOLIZE=1, PATH=folder_with("addr2line", script=script))
    [report], _ = split_reports(run.err)
    assert all(re.search(" in found /file:7 ", report[i]) for i in (1, 2)), report


def unloaded():
    """A library is unloaded while a report that names it is put together (see cases.c)."""
    script = f"#!/bin/sh\n>{path('asked')}\nuntil test -e {path('unloaded')}; do sleep 0.01; done\n"
    run = cases("unloaded", SYMBOLIZE=1, STACKS=4, FORMAT="json", PATH=folder_with("addr2line", script=script))
    finding, _ = json_lines(run.err)
    frame = finding["allocated"]["frames"][0]
    assert (frame["symbol"], frame["module"]) == ("allocate_in_library", args.library), frame


def gone():
    """A library that is not there any more is named, where libc tells modules apart (2.35 on)."""
    finding, _ = json_lines(cases("gone", STACKS=4, FORMAT="json").err)
    frame = finding["allocated"]["frames"][0]
    if tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))) < (2, 35):
        return
    assert frame["module"] == args.library and frame["unloaded"] is True, frame
    assert frame["symbol"] == "allocate_in_library", frame
    text = cases("gone", STACKS=4).err
    assert re.search(r" in allocate_in_library\+0x[0-9a-f]+ \[unloaded\] \(" + re.escape(args.library), text), text


def environment_of_tool():
    """It gets no option, no preloaded library and none of the program's files."""
    script = f"#!/bin/sh\nenv >{path('env')}\nls -l /proc/self/fd >{path('fds')}\necho \"$@\" >{path('args')}\n"
    cases("no-child", SYMBOLIZE=1, PATH=folder_with("llvm-symbolizer", script=script))
    assert not re.search("MM_|LD_PRELOAD|LIBRARY", read("env")), read("env")
    for _ in range(50):
        if os.path.exists(path("args")) and read("args"):
            break
        time.sleep(0.1)
    assert len(re.findall(" -> ", read("fds"))) == 4, read("fds")
    assert re.search(r"--output-style=GNU -a -f -i -C -e .*( 0x[0-9a-f]+)+\n", read("args"))


SCENARIOS = {name: value for name, value in globals().items() if callable(value) and name.islower()}
SCENARIOS["schema"] = schema_refuses


def main():
    global args
    parser = argparse.ArgumentParser()
    for name in ("shim", "cases", "library", "misuse", "situations"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("scenario")
    args = parser.parse_args()
    with here:
        SCENARIOS[args.scenario]()


main()
