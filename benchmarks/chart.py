"""The charts of docs/, drawn from the numbers of a run: nothing in them is typed by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from benchmarks.cases import MICRO, OURS
from benchmarks.kernel import CALLS

COLOURS = {
    "egressguard": "#1b7f5c",
    "tethered": "#c9a227",
    "tethered-locked": "#b5542b",
    "pytest-socket": "#5b6fb5",
    "process": "#1b7f5c",
    "child": "#55a98a",
    "run": "#9fd0bc",
    "sandlock": "#8b5aa8",
    "unguarded": "#8a8f98",
    "empty notifier": "#c3c7ce",
}
RATIOS = ("udp_connect", "sendto", "getaddrinfo_number", "open_close", "import_json")
TIMES = ("refusal", "refusal_name")
Cases = dict[str, dict[str, dict[str, Any]]]


def title_of(operation: str) -> str:
    """Return how a case is called under the bars."""
    if operation.startswith("kernel_"):
        return operation.removeprefix("kernel_").replace("_", " +\n", operation == "kernel_send_recv")
    known = {case.operation: case.title.partition(",")[0] for case in MICRO}
    return {
        "getaddrinfo_number": "getaddrinfo\n(number)",
        "refusal": "refused\nconnect",
        "refusal_name": "refused\ngetaddrinfo",
        "import_json": "import json",
        "open_close": "open + close",
    }.get(operation, known.get(operation, operation))


def bars(axes: Any, cases: Cases, operations: tuple[str, ...], value: Any, form: str) -> None:
    """Draw one group of bars for each operation, one bar for each contender in it."""
    here = [operation for operation in operations if operation in cases]
    contenders = [name for name in COLOURS if any(value(cases[operation].get(name)) for operation in here)]
    width = 0.8 / max(1, len(contenders))
    for place, contender in enumerate(contenders):
        for group, operation in enumerate(here):
            height = value(cases[operation].get(contender))
            if height is None:
                continue
            at = group + (place - (len(contenders) - 1) / 2) * width
            label = contender if group == 0 else None
            axes.bar(at, height, width * 0.92, color=COLOURS[contender], label=label, zorder=2)
            axes.annotate(form.format(height), (at, height), ha="center", va="bottom", fontsize=7, rotation=45)
    axes.set_xticks(range(len(here)), [title_of(operation) for operation in here], fontsize=8)
    axes.set_yscale("log")
    axes.grid(axis="y", color="#d9dce1", linewidth=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 2.2)


def ratio(row: dict[str, Any] | None) -> float | None:
    """Return the middle ratio of a row."""
    return None if row is None or "ratio" not in row else float(row["ratio"][1])


def microseconds(row: dict[str, Any] | None) -> float | None:
    """Return the middle time of a row."""
    return None if row is None or "ns" not in row else float(row["ns"][1]) / 1000


def milliseconds(row: dict[str, Any] | None) -> float | None:
    """Return the middle time of a row of a fresh process."""
    time = microseconds(row)
    return None if time is None else time / 1000


def overview(plot: Any, told: dict[str, Any]) -> Any:
    """Draw what a call costs beside what it costs elsewhere."""
    figure, (left, middle, right) = plot.subplots(1, 3, figsize=(12, 4.4), width_ratios=(5, 2.2, 2.2))
    cases: Cases = told["cases"]
    bars(left, cases, RATIOS, ratio, "{:.2f}x")
    left.axhline(1, color=COLOURS["unguarded"], linewidth=1)
    left.set_title("time of a call, as a multiple of the unguarded process", fontsize=9)
    bars(middle, cases, TIMES, microseconds, "{:.1f}")
    middle.set_title("a refusal, microseconds\n(logging switched off)", fontsize=9)
    install = {
        "one entry": cases.get("install_1", {}),
        "10,000 entries": cases.get("install_10000", {}),
    }
    bars(right, install, tuple(install), milliseconds, "{:.1f}")
    right.set_title("import and install, milliseconds", fontsize=9)
    handles, labels = left.get_legend_handles_labels()
    if "pytest-socket" not in labels:
        more, names = middle.get_legend_handles_labels()
        handles, labels = [*handles, *more], [*labels, *names]
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="lower center", ncols=len(unique), frameon=False, fontsize=8)
    machine, versions = told["machine"], told["versions"]
    figure.suptitle("Medians of paired turns; shorter is better; logarithmic", fontsize=10)
    figure.text(
        0.995,
        0.005,
        f"CPython {machine['python']}, Linux {machine['kernel']}; tethered {versions['tethered']}, "
        f"pytest-socket {versions['pytest-socket']}",
        ha="right",
        fontsize=6,
        color="#6b7078",
    )
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def kernel(plot: Any, told: dict[str, Any]) -> Any:
    """Draw what the kernel layer costs, in the process itself, in its children and under `egressguard run`."""
    figure, (left, right) = plot.subplots(1, 2, figsize=(10, 3.8), width_ratios=(5, 1.4))
    cases: Cases = told["cases"]
    ratios = tuple(f"kernel_{call.operation}" for call in CALLS if call.is_ratio)
    bars(left, cases, ratios, ratio, "{:.2f}x")
    left.axhline(1, color=COLOURS["unguarded"], linewidth=1)
    left.set_title("time of a system call, as a multiple of the unfiltered one", fontsize=9)
    bars(right, cases, ("kernel_refusal",), microseconds, "{:.1f}")
    right.set_title("a refused connect,\nmicroseconds", fontsize=9)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=8)
    figure.suptitle(f"The kernel layer beside sandlock {told['versions'].get('sandlock', '')}", fontsize=10)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def scaling(plot: Any, told: dict[str, Any]) -> Any:
    """Draw what a dial costs where the list is long, and what many threads cost."""
    figure, (left, right) = plot.subplots(1, 2, figsize=(9, 3.4))
    cases: Cases = told["cases"]
    for name, label, style in (
        ("entries", "the same endpoint again and again", "-"),
        ("entries_random", "another endpoint each time", "--"),
    ):
        points = sorted((int(count), row["ns"]) for count, row in cases.get(name, {}).items())
        at = [count for count, _ in points]
        low, middle, high = ([row[place] for _, row in points] for place in range(3))
        left.plot(at, middle, style, marker="o", color=COLOURS[OURS], label=label)
        left.fill_between(at, low, high, color=COLOURS[OURS], alpha=0.15, linewidth=0)
    left.set_xscale("log")
    left.set_ylim(bottom=0)
    left.set_xlabel("entries", fontsize=8)
    left.set_title("UDP connect, nanoseconds", fontsize=9)
    left.legend(frameon=False, fontsize=8, loc="lower right")
    groups = sorted((int(name.rpartition("_")[2]), rows) for name, rows in cases.items() if name.startswith("threads_"))
    for contender in ("unguarded", OURS):
        at = [count for count, _ in groups]
        right.plot(
            at, [rows[contender]["ns"][1] for _, rows in groups], marker="o", color=COLOURS[contender], label=contender
        )
    right.set_xscale("log", base=2)
    right.set_ylim(bottom=0)
    right.set_xlabel("threads", fontsize=8)
    right.set_title("UDP connect from many threads, nanoseconds a call", fontsize=9)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.grid(color="#d9dce1", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def draw(told: dict[str, Any], folder: Path) -> None:
    """Write docs/performance{,-scaling,-kernel}.{png,svg}."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "egressguard"  # the same numbers give the same file
    plot: Any = importlib.import_module("matplotlib.pyplot")
    wanted = {"performance": overview, "performance-scaling": scaling, "performance-kernel": kernel}
    for name, drawn in wanted.items():
        figure = drawn(plot, told)
        figure.savefig(folder / f"{name}.png", dpi=150, facecolor="white", metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", facecolor="white", metadata={"Date": None})
        plot.close(figure)
