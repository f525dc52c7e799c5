"""``egressguard lint``: what is wrong with an allowlist file, and what is only unwise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from egressguard import _allowlist_file, _egressguard
from egressguard._entries import Entry

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

DNS_PORT = 53
WIDE_BITS = 65_536  # a network of more addresses than this is told


def _canonical(entry: str) -> str:
    [canonical] = _egressguard.parse((entry,))
    return canonical


def _unwise(good: list[_allowlist_file.Line]) -> Iterator[tuple[int, str]]:
    seen: dict[str, int] = {}
    for line in good:
        canonical = _canonical(line.entry)
        entry = Entry.of(canonical)
        if canonical in seen:
            yield line.number, f"{line.entry} stands in line {seen[canonical]} already"
            continue
        seen[canonical] = line.number
        if entry.network is not None and entry.network.num_addresses > WIDE_BITS:
            yield line.number, f"{line.entry} opens {entry.network.num_addresses:,} addresses"
        if entry.kind != "unix" and entry.every_port:
            yield line.number, f"{line.entry} opens every port of its host"
        elif entry.network is not None and entry.low <= DNS_PORT <= entry.high:
            yield line.number, f"{line.entry} opens every DNS question to it; lookups of listed names need no entry"
        others = tuple(other.entry for other in good if _canonical(other.entry) != canonical)
        covering = _covering(entry, others)
        if covering is not None:
            yield line.number, f"{line.entry} is covered by {covering}"


def _covering(entry: Entry, others: tuple[str, ...]) -> str | None:
    """Return the other entry that opens the same, where one port and one host are all that this one opens."""
    if entry.endpoint is None or not others:
        return None
    found: str | None = _egressguard.explain(others, entry.endpoint)["entry"]
    return found


def run(arguments: argparse.Namespace) -> int:
    """Check each file. Exit status 0: every entry is good, 1: one is bad, 2: a file could not be read."""
    status = 0
    for file in arguments.files:
        try:
            found = list(_allowlist_file.lines(file))
        except (OSError, ValueError) as error:
            sys.stderr.write(f"egressguard lint: {file}: {error}\n")
            return 2
        good = [line for line in found if line.wrong is None]
        notes = [(line.number, f"error: {line.wrong}") for line in found if line.wrong is not None]
        notes += [(number, f"warning: {text}") for number, text in _unwise(good)]
        sys.stdout.writelines(f"{file}:{number}: {text}\n" for number, text in sorted(notes))
        sys.stdout.write(f"{file}: {len(good)} entries are good, {len(found) - len(good)} are bad\n")
        status = max(status, int(len(good) < len(found)))
    return status


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``egressguard lint``."""
    parser = commands.add_parser("lint", help="check allowlist files; exit status 1 where an entry is bad")
    parser.add_argument("files", nargs="+", metavar="FILE", help="one entry a line, # starts a comment")
    parser.set_defaults(run=run)
