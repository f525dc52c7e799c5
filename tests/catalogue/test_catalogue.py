"""A short part of the catalogue of client libraries, measured on the wire; `./dev catalogue` measures all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cataloguetools.measure import KernelLayerMissing, Measurement, measure
from cataloguetools.page import BEGIN, END, put_into, section
from cataloguetools.row import CARES, CHILD, NATIVE, PYTHON, Row
from cataloguetools.table import ROWS

from labtools.lab import Lab

SHORT = [row for row in ROWS if row.short]
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


def cases(rows: list[Row], layer: str) -> list[object]:
    """Return the rows as parameters; what the table knows to fall short fails strictly."""
    return [pytest.param(row, id=row.name, marks=known_to_fail(row, layer)) for row in rows]


def known_to_fail(row: Row, layer: str) -> list[pytest.MarkDecorator]:
    """Return the mark of a row that falls short of the rule, with the reason from the table."""
    return [pytest.mark.xfail(strict=True, reason=row.failing[layer])] if layer in row.failing else []


def test_the_table_is_large_enough() -> None:
    assert len(ROWS) >= 45
    assert {row.group for row in SHORT} == {row.group for row in ROWS} == {PYTHON, CARES, NATIVE, CHILD}


@pytest.mark.parametrize("name", MOST)
def test_without_the_guard_everything_leaves(lab: Lab, name: str) -> None:
    found = measure(lab, here(BY_NAME[name]), "none")
    assert (found.asked, found.name_dialled, found.address_dialled, found.steady) == (True,) * 4, found


@pytest.mark.parametrize("row", cases(SHORT, "python"))
def test_python_layer_alone(lab: Lab, row: Row) -> None:
    found = measure(lab, here(row), "python")
    assert found.verdict == row.rule("python"), found
    if row.group == CARES:  # while DNS is steady the allowed host works and only the question leaves
        assert (found.steady, found.asked) == (True, True), found


@pytest.mark.parametrize("row", cases([BY_NAME[name] for name in MOST], "kernel"))
def test_with_the_kernel_layer(lab: Lab, row: Row) -> None:
    try:
        found = measure(lab, here(row), "kernel")
    except KernelLayerMissing as reason:
        pytest.skip(f"no kernel layer here: {reason}")
    assert found.verdict == row.rule("kernel"), found


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
