"""The numbers of docs/performance.md: written between the marks by each run, nothing is typed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.cases import ENTRIES, MICRO, OURS, THREADS
from benchmarks.chart import ratio
from benchmarks.kernel import CALLS, CONTENDERS, FLOOR

START, END = "<!-- numbers: written by ./dev bench -->", "<!-- end of numbers -->"
GUARDS = (OURS, "tethered", "tethered-locked", "pytest-socket")
Cases = dict[str, dict[str, dict[str, Any]]]


def number(row: dict[str, Any] | None, *, absolute: bool) -> str:
    """Return a cell: the median and its quartiles."""
    if row is None:
        return "not guarded"
    if absolute:
        low, middle, high = (value / 1000 for value in row["ns"])
        return f"{middle:.2f} us ({low:.2f} to {high:.2f})"
    low, middle, high = row["ratio"]
    return f"{middle:.3f}x ({low:.3f} to {high:.3f})"


def calls(cases: Cases) -> list[str]:
    """Return the table of single calls."""
    lines = ["| call | " + " | ".join(GUARDS) + " |", "| --- |" + " --- |" * len(GUARDS)]
    for case in MICRO:
        if case.operation not in cases:
            continue
        rows = cases[case.operation]
        cells = [number(rows.get(name), absolute=not case.is_ratio) for name in GUARDS]
        lines.append(f"| {case.title} | " + " | ".join(cells) + " |")
    return lines


def entries(cases: Cases) -> list[str]:
    """Return the table of long lists."""
    lines = ["| entries | the same endpoint again and again | another endpoint each time |", "| --- | --- | --- |"]
    for count in ENTRIES:
        rows = [cases.get(name, {}).get(str(count)) for name in ("entries", "entries_random")]
        cells = [
            f"{row['ns'][1]:.0f} ns" + (f", {row['ratio'][1]:.3f}x" if "ratio" in row else "") if row else ""
            for row in rows
        ]
        lines.append(f"| {count:,} | " + " | ".join(cells) + " |")
    return lines


def threads(cases: Cases) -> list[str]:
    """Return the table of many threads."""
    lines = ["| threads | unguarded | " + f"{OURS} |", "| --- | --- | --- |"]
    for count in THREADS:
        rows = cases.get(f"threads_{count}", {})
        if OURS in rows:
            lines.append(f"| {count} | {rows['unguarded']['ns'][1]:.0f} ns | {number(rows[OURS], absolute=False)} |")
    return lines


def milliseconds(row: dict[str, Any] | None) -> str:
    """Return a cell with the time of a fresh process."""
    return "" if row is None else f"{row['ns'][1] / 1e6:.2f} ms"


def fresh(cases: Cases) -> list[str]:
    """Return the table of fresh processes and of memory."""
    lines = ["| fresh process | " + " | ".join(GUARDS) + " |", "| --- |" + " --- |" * len(GUARDS)]
    for name, title in (
        ("install_1", "import + install, one entry"),
        ("install_10000", "import + install, 10,000 entries"),
        ("install_100000", "import + install, 100,000 entries"),
    ):
        rows = cases.get(name, {})
        lines.append(f"| {title} | " + " | ".join(milliseconds(rows.get(guard)) for guard in GUARDS) + " |")
    rows = cases.get("import_json", {})
    cells = [f"{value:.3f}x" if (value := ratio(rows.get(guard))) else "" for guard in GUARDS]
    lines.append("| `import json` behind the guard | " + " | ".join(cells) + " |")
    least, most = cases.get("memory_1", {}), cases.get("memory_10000", {})
    cells = [
        f"{(most[guard]['bytes'] - least[guard]['bytes']) / 1e6:.2f} MB" if guard in most and guard in least else ""
        for guard in GUARDS
    ]
    lines.append("| resident memory for 10,000 entries | " + " | ".join(cells) + " |")
    return lines


def web(cases: Cases) -> list[str]:
    """Return the table of HTTP clients."""
    names = GUARDS[:3]
    lines = ["| 64 requests at a time | " + " | ".join(names) + " | instructions |", "| --- |" + " --- |" * 4]
    for client in ("httpx", "aiohttp"):
        for keep, words in (("keep", "connections kept"), ("close", "a connection each")):
            rows = cases.get(f"web_{client}_{keep}", {})
            cells = [number(rows[name], absolute=False) if name in rows else "" for name in names]
            counts = cases.get(f"instructions_{client}_{keep}")
            counted = f"{counts[OURS]['instructions'] / counts['unguarded']['instructions']:.4f}x" if counts else ""
            if counts and "extension" in counts:
                counted += f", {counts['extension']['instructions']:,} the extension's own"
            lines.append(f"| {client}, {words} | " + " | ".join([*cells, counted]) + " |")
    return lines


def kernel(cases: Cases) -> list[str]:
    """Return the table of the kernel layer."""
    columns = (*CONTENDERS, FLOOR)
    lines = ["| kernel layer | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for call in CALLS:
        rows = cases.get(f"kernel_{call.operation}", {})
        if not rows:
            continue
        first = f"{rows['unguarded']['ns'][1] / 1000:.2f} us"
        cells = [number(rows.get(name), absolute=not call.is_ratio) if name in rows else "" for name in columns[1:]]
        lines.append(f"| {call.title} | {first} | " + " | ".join(cells) + " |")
    return lines


def budgets(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of budgets."""
    lines = ["| budget | measured | |", "| --- | --- | --- |"]
    for row in rows:
        spread = " ({:g} to {:g})".format(*row["spread"]) if row["spread"] else ""
        mark = "holds" if row["holds"] else "**missed**"
        unit = row["unit"] if row["unit"] == "x" else f" {row['unit']}"
        lines.append(f"| {row['what']}: at most {row['budget']:g}{unit} | {row['measured']:g}{unit}{spread} | {mark} |")
    return lines


def numbers(told: dict[str, Any]) -> str:
    """Return everything between the marks."""
    machine, versions = told["machine"], told["versions"]
    where = (
        f"CPython {machine['python']}, Linux {machine['kernel']}, {machine['processors']} processors ({machine['cpu']}); "
        f"load {machine.get('load', 'unknown')}; tethered {versions['tethered']}, pytest-socket {versions['pytest-socket']}, "
        f"sandlock {versions['sandlock']}."
    )
    cases: Cases = told["cases"]
    parts = [
        [where],
        budgets(told["budgets"]),
        calls(cases),
        entries(cases),
        threads(cases),
        fresh(cases),
        web(cases),
        kernel(cases),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def write(told: dict[str, Any], file: Path) -> None:
    """Put the numbers between the marks of a document."""
    text = file.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{START}\n\n{numbers(told)}\n\n{END}{after}")
