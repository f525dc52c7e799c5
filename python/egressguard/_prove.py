"""``egressguard prove``: try every known route here, without the guard and with it, and show what arrived.

Each attempt runs in a process of its own and is aimed at listeners of this command on loopback, which no entry opens:
nothing leaves the machine. What counts is what a listener saw, not what the attempt says of itself.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from egressguard import __version__, _prove_lookups, _prove_native, _prove_routes, _terminal
from egressguard._prove_listeners import Listeners, spare_names

if TYPE_CHECKING:
    import argparse

    from egressguard._prove_routes import Route

SECONDS = 60
TABLES = (_prove_routes, _prove_lookups, _prove_native)  # imported for what they add to the table of routes


class Attempt(NamedTuple):
    """What came of one attempt: did it arrive, what did the child say, which layer refused."""

    state: str  # "arrived", "nothing arrived", "absent", "broken"
    detail: str
    by: str | None


class Result(NamedTuple):
    """One row of the matrix."""

    route: Route
    unguarded: Attempt
    guarded: Attempt

    @property
    def verdict(self) -> str:
        """``stopped``, ``through``, ``absent`` (the route does not exist here) or ``not shown``."""
        if self.guarded.state == "arrived":
            return "through"
        if self.guarded.state == "absent" or (self.unguarded.state == "absent" and self.guarded.by is None):
            return "absent"
        stopped = self.guarded.state == "nothing arrived" and self.guarded.by is not None
        # Where the unguarded run was left out, the guard's own record is what shows that it was refused.
        return "stopped" if stopped and self.unguarded.state in ("arrived", "absent") else "not shown"

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        works = {"arrived": True, "nothing arrived": False}.get(self.unguarded.state)
        return {
            "route": self.route.name,
            "claimed_by": self.route.layer,
            "works_unguarded": works,
            "verdict": self.verdict,
            "by": self.guarded.by if self.verdict == "stopped" else None,
            "unguarded_detail": self.unguarded.detail,
            "guarded_detail": self.guarded.detail,
        }


def _environment() -> dict[str, str]:
    """Leave proxies out: an attempt that followed one would be aimed at something else."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def attempt(route: Route, *, guarded: bool, names: tuple[str | None, str | None]) -> Attempt:
    """Try one route once."""
    with Listeners() as listeners:
        target = json.dumps(listeners.target(*names, guarded=guarded)._asdict())
        command = [sys.executable, "-P", "-m", "egressguard._prove_child", route.name, target]
        try:
            child = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False, env=_environment()
            )
            told = json.loads(child.stdout.splitlines()[-1])
        except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
            seen = route.evidence != "returned" and listeners.saw(route.evidence)
            return Attempt("arrived" if seen else "broken", f"the child ended early: {error}", None)
        arrived = told["outcome"] == "through" if route.evidence == "returned" else listeners.saw(route.evidence) > 0
    if told["outcome"] == "absent":
        return Attempt("absent", told["detail"], None)
    if guarded and not told["installed"] and not arrived:
        return Attempt("broken", told["detail"] or "install() was not reached", None)
    return Attempt("arrived" if arrived else "nothing arrived", told["detail"], told["by"])


def prove(layer: str) -> list[Result]:
    """Try every route that ``layer`` (``python``, ``kernel``, ``all``) claims to stop."""
    routes = [one for one in _prove_routes.ROUTES.values() if layer in ("all", one.layer)]
    names = spare_names()

    def both(route: Route) -> Result:
        return Result(route, attempt(route, guarded=False, names=names), attempt(route, guarded=True, names=names))

    with concurrent.futures.ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        return list(pool.map(both, routes))


def status_of(results: list[Result]) -> int:
    """Return 0: all stopped, 1: something got through, 2: something could not be shown."""
    verdicts = {one.verdict for one in results}
    if "through" in verdicts:
        return 1
    return 2 if "not shown" in verdicts or "stopped" not in verdicts else 0


def _row(one: Result) -> tuple[str, str, str, str]:
    here = {"arrived": "works", "nothing arrived": "does not work", "absent": "-", "broken": "failed"}
    told = {"stopped": "stopped", "through": "GOT THROUGH", "absent": "-", "not shown": "NOT SHOWN"}
    reason = one.guarded.by or ""
    if one.verdict == "absent":
        reason = one.unguarded.detail or one.guarded.detail
    elif one.verdict == "not shown":
        reason = one.guarded.detail if one.guarded.state == "broken" else one.unguarded.detail
    elif one.verdict == "through":
        reason = f"the {one.route.layer} layer stops it" if one.route.layer == "kernel" else ""
    elif one.unguarded.state == "absent":
        reason += f" ({one.unguarded.detail})"
    return one.route.name, here[one.unguarded.state], told[one.verdict], reason


def text(results: list[Result], *, colour: bool) -> str:
    """Return the matrix for a person."""
    marks = {"stopped": "good", "through": "bad", "absent": "dim", "not shown": "warn"}
    rows = [("route", "without the guard", "with it", "by"), *map(_row, results)]
    lines = _terminal.table(rows, marks=["", *(marks[one.verdict] for one in results)], colour=colour)
    counts = {verdict: sum(one.verdict == verdict for one in results) for verdict in marks}
    closing = (
        f"{len(results)} routes: {counts['stopped']} stopped, {counts['through']} got through, "
        f"{counts['not shown']} could not be shown, {counts['absent']} not on this machine"
    )
    return "\n".join([*lines, "", closing])


def run(arguments: argparse.Namespace) -> int:
    """Prove, and return `status_of`."""
    try:
        results = prove(arguments.layer)
    except OSError as error:
        sys.stderr.write(f"egressguard prove: {error}\n")
        return 2
    status = status_of(results)
    if arguments.json:
        head = {"schema": 1, "version": __version__, "python": platform.python_version(), "status": status}
        shown = json.dumps({**head, "routes": [one.as_dict() for one in results]}, indent=2)
    else:
        shown = text(results, colour=_terminal.has_colour())
    sys.stdout.write(shown + "\n")
    return status


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``egressguard prove``."""
    parser = commands.add_parser(
        "prove",
        help="try every route against listeners on loopback, without the guard and with it",
        description="Exit status 0: all stopped; 1: something got through; 2: something could not be shown.",
    )
    parser.add_argument("--layer", choices=("all", "python", "kernel"), default="all", help="whose routes to try")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)
