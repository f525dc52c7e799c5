"""Allowlist files: one entry a line, ``#`` starts a comment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from egressguard import _egressguard

if TYPE_CHECKING:
    from os import PathLike


def problems(path: str | PathLike[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the good entries and, for each bad line, ``file:line: what is wrong``."""
    entries: list[str] = []
    wrong: list[str] = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            _egressguard.parse((entry,))
        except ValueError as error:
            wrong.append(f"{path}:{number}: {error}")
        else:
            entries.append(entry)
    return tuple(entries), wrong


def read(path: str | PathLike[str]) -> tuple[str, ...]:
    """Return the entries, or raise ValueError that names every bad line."""
    entries, wrong = problems(path)
    if wrong:
        raise ValueError("\n".join(wrong))
    return entries
