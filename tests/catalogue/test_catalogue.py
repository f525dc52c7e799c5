"""A short part of the catalogue of client libraries, measured on the wire; `./dev catalogue` measures all of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from cataloguetools.measure import LAYERS, KernelLayerMissing, Measurement, measure
from cataloguetools.page import BEGIN, END, put_into, section
from cataloguetools.row import BROKEN, CARES, CHILD, LOOPBACK, NATIVE, PYTHON, Row
from cataloguetools.rules import wrong
from cataloguetools.table import ROWS

from labtools.lab import Lab

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
SHORT = [row for row in ROWS if row.short and not row.apart]
APART = [row for row in ROWS if row.short and row.apart]
BY_NAME = {row.name: row for row in ROWS}
MOST = [
    "requests",
    "dnspython, then a socket",
    "aiohttp, aiodns",
    "gevent, ares resolver",
    "grpcio",
    "curl",
]  # one of each group, with the kernel layer too


def here(row: Row) -> Row:
    """Return the row, or skip where its library is not here."""
    if row.missing():
        pytest.skip(row.missing())
    return row


def test_the_table_is_large_enough() -> None:
    assert len(ROWS) >= 45
    assert {row.group for row in SHORT} == {row.group for row in ROWS} == {PYTHON, CARES, NATIVE, CHILD}


@pytest.mark.parametrize("name", MOST)
def test_without_the_guard_everything_leaves(lab: Lab, name: str) -> None:
    found = measure(lab, here(BY_NAME[name]), "none")
    assert (found.asked, found.name_dialled, found.address_dialled, found.steady) == (True,) * 4, found


@pytest.mark.parametrize("row", SHORT, ids=str)
def test_python_layer_alone(lab: Lab, row: Row) -> None:
    found = measure(lab, here(row), "python")
    assert found.verdict == row.rule("python"), found
    if row.group == CARES:  # while DNS is steady the allowed host works and only the question leaves
        assert (found.steady, found.asked) == (True, True), found


@pytest.mark.parametrize("row", [BY_NAME[name] for name in MOST], ids=str)
def test_with_the_kernel_layer(lab: Lab, row: Row) -> None:
    try:
        found = measure(lab, here(row), "kernel")
    except KernelLayerMissing as reason:
        pytest.skip(f"no kernel layer here: {reason}")
    assert found.verdict == row.rule("kernel"), found


@pytest.mark.parametrize("row", APART, ids=str)
def test_what_stands_apart_from_the_catalogue(lab: Lab, row: Row) -> None:
    found = {}
    for layer in LAYERS:
        with contextlib.suppress(KernelLayerMissing):
            found[layer] = measure(lab, here(row), layer)
    assert wrong(row, found) == []


def test_the_rules_know_what_is_wrong() -> None:
    blocking, asynchronous = BY_NAME["pika, BlockingConnection"], BY_NAME["pika, AsyncioConnection"]
    broken = BY_NAME["gevent, dnspython resolver, dnspython 2"]
    free = Measurement("none", True, True, True, True, True, {"cgr.dev": ""}, loopback=True)
    refused = Measurement("kernel", False, False, False, False, False, {"cgr.dev": "an error"}, loopback=True)
    loopback = replace(refused, loopback=False, journal=("connect 127.0.0.1: loopback",))
    enforced = replace(loopback, steady=True, changing=True)
    assert wrong(blocking, {"none": free, "kernel": loopback}) == []
    assert wrong(asynchronous, {"none": free, "kernel": enforced}) == []
    for row, bare, guarded in (
        (blocking, replace(free, loopback=False), loopback),  # it would not need what it is refused
        (blocking, replace(free, steady=False), loopback),
        (blocking, free, refused),  # its loopback was dialled
        (blocking, free, replace(loopback, journal=())),
        (blocking, free, replace(loopback, journal=(*loopback.journal, "connect 198.51.100.77: not-listed"))),
        (blocking, free, enforced),
        (asynchronous, free, loopback),
        (asynchronous, free, replace(enforced, changing=False)),
        (asynchronous, free, replace(enforced, asked=True)),
        (asynchronous, replace(free, address_dialled=False), enforced),
        (broken, free, loopback),
        (broken, refused, loopback),  # it fails with another error
    ):
        assert len(wrong(row, {"none": bare, "kernel": guarded})) == 1, (row, bare, guarded)


def test_the_page_has_every_row_and_the_kernel_layer_enforces_each() -> None:
    catalogue, *others = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].split("\n### ")
    lines = [cells(line) for line in catalogue.splitlines() if line.startswith("| ")]
    lines = lines[[line[0] for line in lines].index("library, arrangement") + 2 :]
    assert [line[0] for line in lines] == [row.name for row in ROWS if not row.apart]
    assert {line[4] for line in lines} == {"**enforced**"}
    assert {line[3] for line in lines if line[2] == PYTHON} == {"**enforced**"}
    for kind, text in zip((LOOPBACK, BROKEN), others, strict=True):
        assert text.lower().startswith(kind)
        lines = [cells(line) for line in text.splitlines() if line.startswith("| ")][2:]
        assert [line[0] for line in lines] == [row.name for row in ROWS if row.apart == kind]
        assert all(line.count("refuses") == 2 for line in lines)


def cells(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_section_replaces_only_itself(tmp_path: Path) -> None:
    page, row = tmp_path / "page.md", BY_NAME["urllib.request"]
    page.write_text("# Compatibility\n\nbefore\n")
    found = Measurement("python", False, False, False, True, True, {})
    text = section([(row, {"python": found}, ""), (BY_NAME["node"], {}, "node is not installed")], "no seccomp")
    put_into(page, text)
    put_into(page, text.replace("urllib.request", "another row"))
    assert page.read_text().startswith("# Compatibility\n\nbefore\n")
    assert (page.read_text().count(BEGIN), page.read_text().count(END)) == (1, 1)
    assert "| another row |  | CPython's sockets | **enforced** | not measured |  |" in page.read_text()
    assert "- node: node is not installed" in page.read_text()
    assert "urllib.request" not in page.read_text()
