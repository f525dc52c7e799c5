"""From turns to numbers: the summary that is kept as JSON and the table that is printed."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.paired import Measured

Quartiles = tuple[float, float, float]


def machine() -> dict[str, Any]:
    """Return what the numbers depend on, without names and paths of the machine."""
    cpu = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "python": platform.python_version(),
        "kernel": platform.release().split("-")[0],
        "cpu": cpu or platform.machine(),
        "processors": os.cpu_count() or 0,
        "load": round(os.getloadavg()[1], 1),  # with what the benchmark itself puts on it
    }


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the packages that were compared."""
    from importlib.metadata import version

    return {name: version(name) for name in names}


@dataclass
class Report:
    """The numbers of one run."""

    cases: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    part: str = ""  # of `./dev bench`, which is measured now

    def add(self, name: str, measured: Measured, to: str = "unguarded") -> None:
        """Keep a case: quartiles of the times, and of the ratios where there is something to compare with."""
        rows: dict[str, dict[str, Any]] = {}
        for contender in measured.turns:
            rows[contender] = {"ns": rounded(measured.quartiles(contender), 1)}
            if to in measured.turns and contender != to:
                rows[contender]["ratio"] = rounded(measured.ratio(contender, to), 4)
        self.cases[name] = rows
        print(f"\n{name}")
        for contender, row in rows.items():
            ratio = "{:8.3f}x ({:.3f} to {:.3f})".format(*middle_first(row["ratio"])) if "ratio" in row else ""
            print(f"  {contender:18} " + "{:12.0f} ns ({:.0f} to {:.0f}) ".format(*middle_first(row["ns"])) + ratio)
        print(end="", flush=True)

    def judge(self, what: str, budget: float, value: float, unit: str, spread: Any = None) -> None:
        """Hold a number against its budget."""
        holds = value <= budget
        self.budgets.append(
            {
                "part": self.part,
                "what": what,
                "budget": budget,
                "measured": round(value, 4),
                "unit": unit,
                "holds": holds,
                "spread": spread,
            }
        )

    def judge_case(self, case: Case, contender: str) -> None:
        """Hold a case against the budget it has."""
        if case.budget is None or contender not in self.cases.get(case.operation, {}):
            return
        row = self.cases[case.operation][contender]
        if case.is_ratio:
            low, middle, high = row["ratio"]
            self.judge(case.title, case.budget, middle, "x", [low, high])
        else:
            low, middle, high = (part / 1000 for part in row["ns"])
            self.judge(case.title, case.budget, middle, "us", [round(low, 3), round(high, 3)])

    def as_dict(self) -> dict[str, Any]:
        """Return everything for the JSON file."""
        compared = versions(("egressguard", "tethered", "pytest-socket", "sandlock"))
        return {"machine": machine(), "versions": compared, "budgets": self.budgets, "cases": self.cases}

    def table(self) -> str:
        """Return the budgets as lines."""
        lines = ["", "budget      measured              what"]
        for row in self.budgets:
            spread = "({} to {})".format(*row["spread"]) if row["spread"] else ""
            mark = "ok    " if row["holds"] else "MISSED"
            lines.append(f"{mark} {row['budget']:6g} {row['measured']:8.3f} {row['unit']:2} {spread:22} {row['what']}")
        return "\n".join(lines)


def middle_first(quartiles: Quartiles) -> Quartiles:
    """Return median, lower and upper quartile: the order in which people read them."""
    low, middle, high = quartiles
    return middle, low, high


def rounded(quartiles: Quartiles, digits: int) -> list[float]:
    """Return the quartiles with so many digits."""
    return [round(value, digits) for value in quartiles]


def quartiles_of(values: list[float]) -> Quartiles:
    """Return lower quartile, median and upper quartile."""
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high
