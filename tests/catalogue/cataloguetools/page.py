"""The catalogue's section of docs/compatibility.md, from measurements alone."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cataloguetools.measure import ALLOWED, Measurement
from cataloguetools.row import BROKEN, LOOPBACK, Row

BEGIN, END = "<!-- catalogue:begin -->", "<!-- catalogue:end -->"
Results = Sequence[tuple[Row, Mapping[str, Measurement], str]]  # a row, what was measured, or why it was not

HEAD = """## Client libraries

Written by `./dev catalogue`; no cell is written by hand. Each row dials a forbidden name, a forbidden address and an
allowed name in a laboratory of two hosts, and what counts is what came over the wire between them
([how](../tests/catalogue/cataloguetools/measure.py)). The allowed name is dialled twice: with steady DNS, and with a
server whose single answer changes on every question. Without the guard every row of this table reaches all three.

| word | meaning |
| --- | --- |
| enforced | nothing forbidden left, no question about the name either; the allowed host was reached both times |
| steady | the same, but the allowed host was reached only while DNS answers stay the same |
| asks | the forbidden dials were refused, but the question about the forbidden name went to the name server |
| leaks | a forbidden dial left |
| refuses | nothing forbidden left, but the allowed host was not reached either |
"""

LOOPBACK_HEAD = """### Needs loopback for itself: refused by ADR-0006

Without the guard these reach all three, by way of a TCP connection to 127.0.0.1 that they open for themselves. Behind it
[loopback is refused](adr/0006-loopback-is-refused.md), so they dial nobody at all, and the journal says why.
"""
BROKEN_HEAD = """### Does not work without the guard either

Measured all the same: nobody is reached without the guard, and nothing forbidden leaves behind it.
"""


def cell(measurement: Measurement | None) -> str:
    """Return a verdict with what it is about."""
    if measurement is None:
        return "not measured"
    word = measurement.verdict
    if word == "leaks":
        both = (("name", measurement.name_dialled), ("address", measurement.address_dialled))
        return f"leaks ({', '.join(text for text, left in both if left)})"
    if word.startswith("asks"):
        works = "both times" if measurement.changing else "steady DNS" if measurement.steady else "no"
        return f"asks `evil.test`; allowed host: {works}"
    return f"**{word}**" if word == "enforced" else word


def summary(results: Results, layer: str) -> str:
    """Count the verdicts of one layer."""
    words = Counter(found[layer].verdict for _, found, _ in results if layer in found)
    return ", ".join(f"{count} {word}" for word, count in words.most_common())


def told(bare: Measurement) -> str:
    """Return what a row says of the allowed name without the guard."""
    return bare.told[ALLOWED].replace("|", "\\|").replace("\n", " ")[:200]


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines)]


def loopback_section(results: Results) -> list[str]:
    """Return the arrangements that cannot work behind the guard, with what the journal says of each."""
    lines = []
    for row, found, _ in results:
        said = sorted({line for layer, one in found.items() if layer != "none" for line in one.journal})
        journal = ", ".join(f"`{line}`" for line in said)
        verdicts = [cell(found.get("python")), cell(found.get("kernel"))]
        lines.append([row.name, row.version(), *verdicts, journal, row.remark()])
    heads = ["library, arrangement", "version", "Python layer alone", "with the kernel layer", "in the journal", "why"]
    return [LOOPBACK_HEAD, *table(heads, lines)]


def broken_section(results: Results) -> list[str]:
    """Return the arrangements that fail by themselves, with what they say."""
    lines = []
    for row, found, _ in results:
        verdicts = [cell(found.get("python")), cell(found.get("kernel"))]
        lines.append([row.name, row.version(), f"`{told(found['none'])}`", *verdicts, row.remark()])
    layers = ["without the guard", "Python layer alone", "with the kernel layer"]
    return [BROKEN_HEAD, *table(["library, arrangement", "version", *layers, "why"], lines)]


def section(results: Results, no_kernel: str) -> str:
    """Return the whole section, between its markers."""
    measured = [one for one in results if one[1] and not one[0].apart]
    lines = [BEGIN, HEAD]
    lines.append(
        f"Measured on CPython {platform.python_version()}, Linux {platform.release()}: {len(measured)} rows.\n"
    )
    lines.append(f"- Python layer alone: {summary(measured, 'python')}")
    kernel = f"not measured: {no_kernel}" if no_kernel else summary(measured, "kernel")
    lines.append(f"- with the kernel layer: {kernel}\n")
    lines += table(
        ["library, arrangement", "version", "looks up and dials", "Python layer alone", "with the kernel layer", ""],
        [
            [row.name, row.version(), row.group, cell(found.get("python")), cell(found.get("kernel")), row.remark()]
            for row, found, _ in measured
        ],
    )
    for kind, write in ((LOOPBACK, loopback_section), (BROKEN, broken_section)):
        if of_kind := [one for one in results if one[1] and one[0].apart == kind]:
            lines += ["", *write(of_kind)]
    absent = [f"- {row.name}: {why}" for row, _, why in results if why]
    if absent:
        lines += ["", "Not measured:", "", *absent]
    return "\n".join([*lines, "", END])


def put_into(page: Path, text: str) -> None:
    """Replace what is between the markers, or add it at the end; the rest of the page is somebody else's."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Compatibility\n"
    if BEGIN in old:
        before, _, rest = old.partition(BEGIN)
        new = before + text + rest.partition(END)[2]
    else:
        new = f"{old.rstrip()}\n\n{text}\n"
    page.write_text(new, encoding="utf-8")
