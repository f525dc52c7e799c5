"""What a list would do with an endpoint, and why. The verdict is the extension's; here are only words."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from egressguard import _allowlist_file, _egressguard

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

FIXTURE = "no entry opens loopback; a test that needs it requests the fixture egress_test_loopback"
NEXT_STEPS = {
    "not-listed": 'add "{0}" to the allowlist if this process should reach it',
    "port": 'add "{0}" to the allowlist if this process should reach it',
    "unix": 'add "{0}" to the allowlist if this process should reach it',
    "own-address": 'add exactly "{0}": a name or a CIDR never opens an address of this machine',
    "loopback": FIXTURE,
    "unspecified": FIXTURE,
}


DNS = 'lookups of listed names need no entry; "{0}" on the list would open every DNS question, a way out for any data'


def explain(endpoint: str, allow: Iterable[str] | None) -> dict[str, Any]:
    """Return the verdict as a dict; see `egressguard.explain`."""
    verdict = _egressguard.explain(allow, endpoint)
    step = NEXT_STEPS.get(verdict["reason"], "there is no entry that opens this")
    if verdict["kind"] == "address" and verdict["reason"] in ("not-listed", "port") and endpoint.endswith(":53"):
        step = DNS
    step = step.format(endpoint)
    return {"endpoint": endpoint, **verdict, "next_step": None if verdict["allowed"] else step}


def _line(answer: dict[str, Any]) -> str:
    if answer["allowed"]:
        return f"{answer['endpoint']}: allowed by entry {answer['entry']}"
    return f"{answer['endpoint']}: refused ({answer['reason']}): {answer['text']}; {answer['next_step']}"


def run(arguments: argparse.Namespace) -> int:
    """Explain each endpoint. Exit status 0: all allowed, 1: one is refused, 2: it could not be read."""
    try:
        allow = _allowlist_file.of_arguments(arguments)
        answers = [explain(endpoint, allow) for endpoint in arguments.endpoints]
    except (OSError, ValueError) as error:
        sys.stderr.write(f"egressguard explain: {error}\n")
        return 2
    text = json.dumps(answers, indent=2) if arguments.json else "\n".join(map(_line, answers))
    sys.stdout.write(text + "\n")
    return 0 if all(answer["allowed"] for answer in answers) else 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``egressguard explain``."""
    parser = commands.add_parser("explain", help="what a list does with an endpoint, by which entry, and why")
    parser.add_argument("endpoints", nargs="+", metavar="ENDPOINT", help="host:port, [IPv6]:port or unix:/path")
    _allowlist_file.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)
