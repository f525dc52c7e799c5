"""The parts of `./dev bench`. Each measures, and adds to the report and to what pyperf keeps."""

from __future__ import annotations

import sys
from subprocess import DEVNULL, PIPE, Popen

from benchmarks.callgrind import counted_apart
from benchmarks.cases import (
    ENTRIES,
    FLAT_BUDGET,
    FRESH_BUDGETS,
    GUARDS_SENDS,
    MICRO,
    OURS,
    PEER_ENTRIES,
    REFUSERS,
    THREADS,
    WEB_BUDGET,
)
from benchmarks.fresh import measure
from benchmarks.kernel import kernel
from benchmarks.paired import ROOT, Measured, alternate, environment, rotated
from benchmarks.report import Report
from benchmarks.web import CLIENTS

Kept = dict[str, Measured]


def micro(report: Report, kept: Kept, scale: float, far: bool) -> None:
    """Measure single calls."""
    for case in MICRO:
        if case.operation == "tcp_connect" and not far:
            continue
        wanted = {name: (name, 1) for name in case.contenders}
        turns = max(8, int(60 * scale * case.weight))
        measured = kept[case.operation] = alternate(wanted, case.operation, blocks=5, turns=turns)
        report.add(case.operation, measured)
        report.judge_case(case, OURS)


def entries(report: Report, kept: Kept, scale: float, _: bool) -> None:
    """Measure whether a dial costs more where the list is longer."""
    turns = max(8, int(60 * scale))
    ours = {str(count): (OURS, count) for count in ENTRIES}
    for name, operation in (("entries", "udp_connect"), ("entries_random", "udp_connect_random")):
        measured = kept[name] = alternate(ours, operation, blocks=5, turns=turns)
        report.add(name, measured, to="1")
    low, middle, high = report.cases["entries"][str(ENTRIES[-1])]["ratio"]
    report.judge(f"UDP connect, {ENTRIES[-1]:,} entries to one", FLAT_BUDGET, middle, "x", [low, high])
    peers = {name: (name, PEER_ENTRIES) for name in (OURS, "tethered", "tethered-locked", "pytest-socket")}
    measured = kept["peer_entries"] = alternate(peers, "udp_connect", blocks=2, turns=max(8, turns // 3))
    report.add("peer_entries", measured, to=OURS)
    wanted = {name: (name, 250) for name in REFUSERS}
    measured = kept["peer_refusal"] = alternate(wanted, "refusal", blocks=2, turns=max(8, turns // 3))
    report.add("peer_refusal", measured, to=OURS)


def threads(report: Report, kept: Kept, scale: float, _: bool) -> None:
    """Measure from one thread to sixteen, on all processors."""
    wanted = {name: (name, 1) for name in ("unguarded", OURS)}
    for count in THREADS:
        name = f"threads_{count}"
        measured = kept[name] = alternate(wanted, "udp_connect", blocks=2, turns=max(8, int(40 * scale)), threads=count)
        report.add(name, measured)


def fresh(report: Report, kept: Kept, scale: float, _: bool) -> None:
    """Measure fresh processes: import + install, `import json` behind the guard, memory."""
    times = max(8, int(40 * scale))
    for count, refusers in ((1, REFUSERS), (10_000, REFUSERS[:-1]), (100_000, (OURS,))):
        install: Kept = {"install": Measured({name: [] for name in refusers})}
        names = ("unguarded", *refusers) if count == 1 else refusers
        if count == 1:
            install["import_json"] = Measured({name: [] for name in GUARDS_SENDS})
        memory: dict[str, list[int]] = {}
        for turn in range(times if count < 100_000 else times // 2):
            for name in rotated(names, turn):
                answer = measure(name, count)
                memory.setdefault(name, []).append(answer["memory"])
                for what, measured in install.items():
                    if name in measured.turns:
                        measured.turns[name].append(answer[what])
        for what, measured in install.items():
            key = what if what == "import_json" else f"{what}_{count}"
            kept[key] = measured
            report.add(key, measured)
        report.cases[f"memory_{count}"] = {name: {"bytes": sorted(own)[len(own) // 2]} for name, own in memory.items()}
        if ("install", count) in FRESH_BUDGETS:
            low, middle, high = (value / 1e6 for value in install["install"].quartiles(OURS))
            spread = [round(low, 3), round(high, 3)]
            title = f"import + install, {count:,} {'entry' if count == 1 else 'entries'}"
            report.judge(title, FRESH_BUDGETS["install", count], middle, "ms", spread)


def web(report: Report, kept: Kept, scale: float, far: bool) -> None:
    """Measure httpx and aiohttp against nginx, 64 requests at once."""
    if not far:
        return
    names = ("unguarded", OURS, "tethered", "tethered-locked")
    for client in CLIENTS:
        for keep in ("keep", "close"):
            measured = Measured({name: [] for name in names})
            running = {name: web_process(name, client, keep) for name in names}
            try:
                for turn in range(max(6, int(30 * scale))):
                    for name in rotated(names, turn):
                        measured.turns[name].append(web_turn(running[name], 320))
            finally:
                for process in running.values():
                    assert process.stdin is not None
                    process.stdin.close()
                    process.wait(30)
            kept[f"web_{client}_{keep}"] = measured
            report.add(f"web_{client}_{keep}", measured)


def web_process(contender: str, client: str, keep: str) -> Popen[str]:
    """Start a client."""
    words = [sys.executable, "-S", "-m", "benchmarks.web", contender, client, keep]
    child = Popen(words, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True, cwd=ROOT, env=environment())
    web_turn(child, 128)
    return child


def web_turn(process: Popen[str], count: int) -> float:
    """Have a client make so many requests; return the nanoseconds of one."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def of_a_request(name: str, client: str, keep: str) -> tuple[float, float]:
    """Count the instructions of an HTTP request: the difference of two runs of different length.

    Beside it the extension's own, which do not depend on what the network does meanwhile.
    """
    words = ["-m", "benchmarks.web", name, client, keep, "--once"]
    (short, short_own), (long, long_own) = (counted_apart([*words, str(count)]) for count in (256, 1280))
    return (long - short) / 1024, (long_own - short_own) / 1024


def instructions(report: Report, _kept: Kept, _scale: float, far: bool) -> None:
    """Count the instructions of HTTP requests.

    How many answers a turn of the event loop finds is the server's and the network's to say, and costs instructions of
    the client's own: where a round misses the budget two more are made, and the one in the middle counts.
    """
    if not far:
        return
    for client in CLIENTS:
        for keep in ("keep", "close"):
            rounds: list[tuple[float, dict[str, float]]] = []
            own = 0.0
            while not rounds or (rounds[0][0] > WEB_BUDGET and len(rounds) < 3):
                each = {}
                for name in ("unguarded", OURS):
                    each[name], own = of_a_request(name, client, keep)
                rounds.append((each[OURS] / each["unguarded"], each))
                print(
                    f"\ninstructions_{client}_{keep}: {each['unguarded']:,.0f} unguarded, {each[OURS]:,.0f} guarded, "
                    f"{rounds[-1][0]:.4f}x, {own:,.1f} of them the extension's own",
                    flush=True,
                )
            ordered = sorted(rounds, key=lambda one: one[0])
            ratio, each = ordered[len(ordered) // 2]
            report.cases[f"instructions_{client}_{keep}"] = {
                **{name: {"instructions": round(count)} for name, count in each.items()},
                "extension": {"instructions": round(own)},
            }
            spread = [round(ordered[0][0], 4), round(ordered[-1][0], 4)] if len(ordered) > 1 else None
            report.judge(f"instructions of a request, {client}, {keep}", WEB_BUDGET, ratio, "x", spread)


PARTS = {
    "micro": micro,
    "entries": entries,
    "threads": threads,
    "fresh": fresh,
    "web": web,
    "instructions": instructions,
    "kernel": kernel,
}
