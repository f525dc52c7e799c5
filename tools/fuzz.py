"""Run the libFuzzer targets of `tests/fuzz` under ASan and UBSan, and random address objects under atheris.

`python -m tools.fuzz [--seconds N] [--target NAME ...] [--jobs N] [--idle]`: each target runs N seconds (default 60)
from its committed corpus in `tests/fuzz/corpus`. What it finds on the way is kept in `.dev/fuzz` and used the next time; a
finding ends the target, leaves its input there and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tools.project import ROOT, STATE, Problem
from tools.steps import AT_ONCE, Steps, end_all, logged, side_by_side, tail

TARGETS = ROOT / "tests/fuzz"
WORK = STATE / "fuzz"
OBJECTS = "fuzz_objects"
FLAGS = ["-std=c11", "-D_GNU_SOURCE=1", "-pthread", "-g", "-O1", "-Isrc", "-Itests/fuzz", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
# Sources beside src/core, and flags. What would reach the kernel is the target's, so that nothing is dialled.
NOTICE = ("notice", "hold", "judge", "dial", "send", "control", "unix_way", "receive", "credentials", "patience")
STUB = ("stub", "connection", "exchange", "question", "look_again")
PRETEND = ("world", "pretend_net", "dns_bytes", "rules", "tables", "held_calls")
ALSO = {
    "fuzz_notice": [f"src/linux/{name}.c" for name in NOTICE],
    "fuzz_connection": ["src/linux/connection.c"],
    "fuzz_exchange": [f"src/linux/{name}.c" for name in STUB] + [f"tests/fuzz/exchange/{name}.c" for name in PRETEND],
}
SOCKET_CALLS = ("socket", "bind", "listen", "accept4", "close", "recv", "recvmsg", "getsockname", "getpeername")
OTHER_CALLS = ("getsockopt", "setsockopt", "epoll_ctl", "getrandom", "syscall")
OF_THE_CORE = ("eg_machine_locality", "eg_machine_first_nameserver", "eg_grants_add")
LINK = {
    "fuzz_notice": ["-Wl,--wrap=syscall"],
    "fuzz_connection": ["-Wl,--wrap=epoll_ctl"],
    "fuzz_exchange": [f"-Wl,--wrap={name}" for name in (*SOCKET_CALLS, *OTHER_CALLS, *OF_THE_CORE)],
}
# Whatever one input needs longer than this for, or more memory, is a finding too.
SECONDS_AN_INPUT = 10
SECONDS_AN_INPUT_IDLE = 60  # where others have the processors, most of these pass without a turn
LARGEST_INPUT = 2048


def clang() -> str:
    """Return the compiler, or say what to install."""
    found = shutil.which("clang") or next(
        (found for number in range(22, 13, -1) if (found := shutil.which(f"clang-{number}"))), None
    )
    if found is None:
        raise Problem(
            "install clang first, with its runtime: apt-get install -y clang libclang-rt-14-dev (or its version)"
        )
    probe = subprocess.run(
        [found, *SANITIZERS, "-x", "c", "-", "-o", WORK / "probe"],
        input="int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d == 0 && n; }\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        raise Problem(
            f"{tail(probe.stderr)}\n{found} has no libFuzzer: apt-get install -y libclang-rt-14-dev (or its version)"
        )
    return found


def build(compiler: str, target: Path) -> Path:
    """Compile a target together with all of `src/core`, and what else it names."""
    program = WORK / target.stem
    sources = [*sorted((ROOT / "src/core").glob("*.c")), *(ROOT / name for name in ALSO.get(target.stem, ()))]
    code, output = logged(
        f"build-{target.stem}",
        [compiler, *FLAGS, *SANITIZERS, *LINK.get(target.stem, ()), target, *sources, "-o", program],
    )
    if code:
        raise Problem(f"{tail(output)}\n{target.name} does not compile")
    return program


def fuzz(steps: Steps, compiler: str, target: Path, seconds: int) -> bool:
    """Build one target and run it; return whether it found nothing."""
    name = target.stem
    seeds, kept, findings = TARGETS / "corpus" / name, WORK / "corpus" / name, WORK / "findings" / name
    for folder in (seeds, kept, findings):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        program = build(compiler, target)
    except Problem as problem:
        return steps.check(name, partial(str, problem))
    started = time.monotonic()
    an_input = SECONDS_AN_INPUT_IDLE if os.sched_getscheduler(0) == os.SCHED_IDLE else SECONDS_AN_INPUT
    command = [program, f"-max_total_time={seconds}", f"-timeout={an_input}", f"-max_len={LARGEST_INPUT}"]
    command += [f"-artifact_prefix={findings}/", "-print_final_stats=1", kept, seeds]
    code, output = logged(name, command, limit=seconds + 300.0)
    for finding in sorted(findings.iterdir()) if code else ():
        steps.say(
            f"{finding.relative_to(ROOT)}: {finding.read_bytes()[:200]!r}\nagain: {program.relative_to(ROOT)} FILE"
        )
    if code:
        steps.say(f"\n--- {name}: exit {code}, the end of its log\n{tail(output)}\n")
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    note = f"{runs.group(1)} inputs" if runs else f"exit {code}"
    return steps.note(f"{name}, {seconds} s", code == 0, time.monotonic() - started, note)


def fuzz_objects(steps: Steps, seconds: int) -> bool:
    """Run `tests/fuzz/objects.py` under atheris, in a network of its own; the extension is the one that ships."""
    if importlib.util.find_spec("atheris") is None:
        return steps.note(OBJECTS, True, note="left out: atheris is not there for this Python")
    kept, findings = WORK / "corpus" / OBJECTS, WORK / "findings" / OBJECTS
    for folder in (kept, findings):
        folder.mkdir(parents=True, exist_ok=True)
    inner = 'ip link set lo up && ip addr add 203.0.113.5/32 dev lo && exec "$@"'
    own = ["unshare", "-n" if os.geteuid() == 0 else "-Urn", "sh", "-c", inner, "sh"]
    program = [sys.executable, "-P", TARGETS / "objects.py", "atheris", f"-max_total_time={seconds}", "-max_len=120"]
    started = time.monotonic()
    command = [*own, *program, f"-artifact_prefix={findings}/", "-print_final_stats=1", kept]
    code, output = logged(OBJECTS, command, limit=seconds + 300.0)
    if code:
        steps.say(f"\n--- {OBJECTS}: exit {code}, the end of its log\n{tail(output)}\n")
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    note = f"{runs.group(1)} inputs" if runs else f"exit {code}"
    return steps.note(f"{OBJECTS}, {seconds} s", code == 0, time.monotonic() - started, note)


def main(arguments: list[str]) -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (default: 60)")
    parser.add_argument(
        "--target", action="append", metavar="NAME", help="only this one, such as fuzz_dns (repeatable)"
    )
    parser.add_argument("--jobs", type=int, default=AT_ONCE, metavar="N", help=f"targets at once (default: {AT_ONCE})")
    parser.add_argument("--idle", action="store_true", help="run where nothing else wants the processor")
    options = parser.parse_args(arguments)
    if options.idle:  # what starts from here inherits it: sched(7)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    targets = sorted(TARGETS.glob("fuzz_*.c"))
    if options.target:
        targets = [target for target in targets if target.stem in options.target]
    objects = not options.target or OBJECTS in options.target
    if not targets and not objects:
        raise Problem("no such target")
    WORK.mkdir(parents=True, exist_ok=True)
    compiler = clang() if targets else ""
    steps = Steps()
    jobs = [partial(fuzz, steps, compiler, target, options.seconds) for target in targets]
    side_by_side([*jobs, *([partial(fuzz_objects, steps, options.seconds)] if objects else [])], options.jobs)
    print(steps.table())
    return 0 if steps.passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        sys.exit(f"fuzz: {problem}")
    except KeyboardInterrupt:
        end_all()
        sys.exit(130)
