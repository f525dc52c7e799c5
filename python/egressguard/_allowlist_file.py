"""Allowlist files: one entry a line, ``#`` starts a comment. And the options by which commands take a list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from egressguard import DEFAULT_ALLOWLIST, _egressguard

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from os import PathLike


class Line(NamedTuple):
    """One entry of a file: where it stands, as it was written, and what is wrong with it (or None)."""

    number: int
    entry: str
    wrong: str | None


def lines(path: str | PathLike[str]) -> Iterator[Line]:
    """Yield the entries of a file, bad ones too. Raises OSError, and ValueError for a file that is not UTF-8."""
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            _egressguard.parse((entry,))
        except ValueError as error:
            yield Line(number, entry, str(error))
        else:
            yield Line(number, entry, None)


def read(path: str | PathLike[str]) -> tuple[str, ...]:
    """Return the entries, or raise ValueError that names every bad line."""
    found = list(lines(path))
    wrong = [f"{path}:{line.number}: {line.wrong}" for line in found if line.wrong is not None]
    if wrong:
        raise ValueError("\n".join(wrong))
    return tuple(line.entry for line in found)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow`` and ``--allow-file``."""
    parser.add_argument("--allow", action="append", default=[], metavar="ENTRY", help="an allowlist entry; repeatable")
    parser.add_argument("--allow-file", action="append", default=[], metavar="FILE", help="a file of entries")


def of_arguments(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the canonical entries that were given, or the default list. Raises OSError and ValueError."""
    entries: tuple[str, ...] = tuple(arguments.allow)
    for file in arguments.allow_file:
        entries += read(file)
    return _egressguard.parse(entries if arguments.allow or arguments.allow_file else DEFAULT_ALLOWLIST)
