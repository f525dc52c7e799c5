"""``egressguard suggest``: the suggestion as an allowlist file that a person reviews, or as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from egressguard import _allowlist_file, _suggest
from egressguard._terminal import printable

if TYPE_CHECKING:
    import argparse
    from collections import Counter

    from egressguard._suggest import Seen, Suggestion

SHOWN = 3
CHOOSE = "PORT  # choose the port and remove the first #: it was looked up without one"


def _most(counter: Counter[str]) -> str:
    names = [name for name, _ in counter.most_common(SHOWN)]
    rest = len(counter) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest else "")


def _who(seen: list[Seen]) -> str:
    """Return count, packages and call sites, safe to stand behind a ``#``."""
    distributions = sum((one.distributions for one in seen[1:]), seen[0].distributions.copy())
    sites = sum((one.sites for one in seen[1:]), seen[0].sites.copy())
    count = sum(one.count for one in seen)
    times = "once" if count == 1 else f"{count} times"
    return printable(f"{times}, {_most(distributions)}" + (f" ({_most(sites)})" if sites else ""))


def as_file(result: Suggestion) -> str:
    """Return the suggestion as an allowlist file."""
    counts = f"{result.records} attempts of {result.processes} processes in {result.files} journals"
    lines = [
        "# Suggested by egressguard suggest. Read each line before you use it: seen does not mean good.",
        f"# Recorded: {counts}, {_suggest.period(result)}",
    ]
    width = max(map(len, result.entries), default=0)
    lines += [f"{entry.ljust(width)}  # {_who(seen)}" for entry, seen in result.entries.items()]
    lines += [f"# {one.endpoint}:{CHOOSE}, {_who([one])}" for one in result.portless]
    lines += [f"# NOT suggested: {printable(one.endpoint)}: {one.why}; {_who([one])}" for one in result.unsuggested]
    return "\n".join(lines) + "\n"


def as_data(result: Suggestion) -> dict[str, Any]:
    """Return the suggestion as plain data."""

    def told(seen: Seen) -> dict[str, Any]:
        told = {"endpoint": seen.endpoint, "count": seen.count, "last_ns": seen.last_ns}
        return {**told, "distributions": dict(seen.distributions), "sites": dict(seen.sites)}

    return {
        "records": result.records,
        "unreadable": result.unreadable,
        "processes": result.processes,
        "entries": {entry: [told(one) for one in seen] for entry, seen in result.entries.items()},
        "choose_port": [told(one) for one in result.portless],
        "not_suggested": [{**told(one), "why": one.why} for one in result.unsuggested],
    }


def run(arguments: argparse.Namespace) -> int:
    """Suggest. Exit status 0, or 2 where a file cannot be read; warnings go to standard error."""
    try:
        given = arguments.allow or arguments.allow_file
        base = _allowlist_file.of_arguments(arguments) if given else ()
        result = _suggest.suggest(arguments.journals, base)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"egressguard suggest: {error}\n")
        return 2
    for one in result.portless:
        sys.stderr.write(f"egressguard suggest: {one.endpoint} was looked up without a port: choose it in the list\n")
    for one in result.unsuggested:
        sys.stderr.write(f"egressguard suggest: warning: {printable(one.endpoint)} is not suggested: {one.why}\n")
    if result.unreadable:
        sys.stderr.write(f"egressguard suggest: warning: {result.unreadable} lines could not be read\n")
    sys.stdout.write(json.dumps(as_data(result), indent=2) + "\n" if arguments.json else as_file(result))
    return 0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``egressguard suggest``."""
    parser = commands.add_parser("suggest", help="turn journals into the shortest allowlist that would have worked")
    parser.add_argument("journals", nargs="+", metavar="JOURNAL", help="written by egressguard.journal_to()")
    _allowlist_file.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)
