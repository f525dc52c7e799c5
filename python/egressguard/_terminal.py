"""Colour and alignment for a person at a terminal; plain text in a pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GOOD, BAD, WARN, DIM = "32", "31", "33", "2"
MARKS = {"good": GOOD, "bad": BAD, "warn": WARN, "dim": DIM}


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether the stream is a terminal that wants colour (https://no-color.org)."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, mark: str, *, colour: bool) -> str:
    """Return the text in the colour of its mark (`MARKS`, or "" for none)."""
    return f"\033[{MARKS[mark]}m{text}\033[0m" if colour and mark else text


def printable(text: str) -> str:
    """Escape control characters: file names and host names are other people's, and a terminal obeys them."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def table(rows: Iterable[Sequence[str]], *, marks: Sequence[str] = (), colour: bool = False) -> list[str]:
    """Return the rows as lines whose columns are aligned; ``marks`` colours each whole row."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    if not colour or not marks:
        return lines
    return [paint(line, mark, colour=True) for line, mark in zip(lines, marks, strict=True)]
