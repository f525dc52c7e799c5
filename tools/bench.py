"""Measure the guard beside the unguarded process and beside other guards: `./dev bench [--quick] [part ...]`.

The parts are micro, entries, threads, fresh, web, instructions and kernel; without a name all of them run. The numbers
go to benchmarks/results/ (NAME.json, and NAME-pyperf.json for pyperf's own tools), into docs/performance.md and its
charts. The exit status is 1 where a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.network import INSIDE, enter, made
from benchmarks.paired import suite_of
from benchmarks.report import Report, machine
from benchmarks.runs import PARTS, Kept
from tools.project import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="what to measure; everything without one")
    parser.add_argument("--quick", action="store_true", help="few turns: to see that it runs, not to believe")
    parser.add_argument(INSIDE, action="store_true", dest="inside", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run(parts: list[str], quick: bool) -> int:
    """Measure inside the namespace."""
    report, kept = Report(), Kept()
    with made() as far:
        for part in parts:
            report.part = part
            PARTS[part](report, kept, 0.1 if quick else 1.0, far)
    print(report.table(), flush=True)
    if not quick:
        keep(report, kept, parts)
    return 0 if all(row["holds"] for row in report.budgets) else 1


def keep(report: Report, kept: Kept, parts: list[str]) -> None:
    """Write the files. Parts alone are merged into what an earlier run left, so that they can be measured again."""
    whole = parts == list(PARTS)
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = "python-" + ".".join(machine()["python"].split(".")[:2])
    file = RESULTS / f"{name}.json"
    told = report.as_dict()
    if not whole and file.exists():
        before = json.loads(file.read_text())
        told["cases"] = {**before["cases"], **told["cases"]}
        rows = [row for row in before["budgets"] if row.get("part", parts[0]) not in parts] + told["budgets"]
        told["budgets"] = sorted(rows, key=lambda row: list(PARTS).index(row["part"]))
    file.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    if kept and whole:
        suite_of(kept, told["machine"]).dump(str(RESULTS / f"{name}-pyperf.json"), replace=True)
    if not newest(name):  # the document and its charts show one interpreter
        return
    from benchmarks import chart, tables

    chart.draw(told, ROOT / "docs")
    tables.write(told, ROOT / "docs" / "performance.md")
    print(f"kept in benchmarks/results/{name}.json, shown in docs/performance.md", flush=True)


def newest(name: str) -> bool:
    """Whether no results of a newer Python are there."""
    found = [tuple(map(int, path.stem.partition("-")[2].split("."))) for path in RESULTS.glob("python-3.*[0-9].json")]
    return tuple(map(int, name.partition("-")[2].split("."))) >= max(found)


def main(arguments: list[str]) -> int:
    """Enter the namespace, measure there."""
    wanted = parse(arguments)
    if not wanted.inside:
        return enter("tools.bench", arguments)
    return run(wanted.part or list(PARTS), wanted.quick)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
