"""``egressguard self-check``: what is enforced, or could be. Opens no socket, starts no program, exits 0."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressguard import _allowlist_file, _posture, _terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

Row = tuple[str, str, str]  # label, text, mark

LANDLOCK_CREATE_RULESET = 444  # the same number on every architecture since Linux 5.13, Alpha apart
LANDLOCK_WITH_SCOPES = 6  # what src/linux/confine.c asks for (ADR-0021)


def _landlock_abi() -> int | None:
    """Ask the kernel for its Landlock ABI (landlock(7)). For the fresh process of this command: it needs ctypes."""
    try:
        import ctypes  # noqa: PLC0415  a guarded process must not load it for a report

        version: int = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
    except (ImportError, OSError, AttributeError):
        return None
    return version if version > 0 else None


def fresh(allow: tuple[str, ...]) -> dict[str, Any]:
    """Return the report of this fresh process: could it be guarded, with which list, and what else is here."""
    report = _posture.of_process()
    report["allowlist"] = list(allow)
    report["layers"] = _posture.layers_offered()
    report["could_be_guarded"] = all(route["known"] for route in report["routes"].values())
    report["machine"]["landlock_abi"] = _landlock_abi()
    return report


def _guard_rows(report: dict[str, Any]) -> Iterator[Row]:
    mode = report.get("mode", "enforcing" if report["installed"] else "off")
    if mode == "off":
        yield "guard", "not installed (this is a fresh process)", ""
    elif mode == "observing":
        yield "guard", "OBSERVING ONLY: nothing is refused", "bad"
    else:
        yield "guard", "installed", "good"
    if "could_be_guarded" in report:
        possible = report["could_be_guarded"]
        yield "could be", "guarded" if possible else "NOT guarded: see the routes", "good" if possible else "bad"
    for name, state in report.get("layers", {}).items():
        yield "layer", f"{name}: {state}", ""
    kernel = report.get("kernel", {})
    if kernel.get("active"):
        yield "kernel layer", f"active: {kernel['judged']} calls judged, {kernel['refused']} refused", "good"
        children = kernel.get("children", "")
        yield "child processes", children, "good" if children == "judged" else "bad"
    yield "capability", f"{report['capability']}, loopback open in {report['loopback_threads']} threads", ""
    yield "violations", str(report["violations"]), ""
    for entry in report["allowlist"] or ():
        yield "allow", entry, ""
    for name, route in report["routes"].items():
        state = "enforced" if route["enforced"] else "ready" if route["known"] else "NOT KNOWN"
        yield "route", f"{name}: {state}", {"enforced": "good", "NOT KNOWN": "bad"}.get(state, "")
    for journal in report.get("journals", ()):
        text = f"{journal['name']}: {journal['written']} written, {journal['lost']} lost"
        yield "journal", text, "bad" if journal["lost"] else ""


def _landlock_row(machine: dict[str, Any]) -> Row:
    abi = machine.get("landlock_abi") or 0
    text = f"ABI {abi}" if abi else machine["landlock"]
    if "landlock_abi" not in machine:  # the posture of another process
        return "landlock", text, ""
    if abi >= LANDLOCK_WITH_SCOPES:
        return "landlock", f"{text}: what `egressguard run` starts cannot trace what is outside", ""
    mark = "warn" if machine["yama"][:1] in "0a" else ""
    return "landlock", f"{text}: what `egressguard run` starts can trace what is outside, if Yama lets it", mark


def _machine_rows(machine: dict[str, Any]) -> Iterator[Row]:
    yield "network", machine["network_namespace"], ""
    filters = machine["seccomp_filters"]
    yield "seccomp", machine["seccomp"] + (f", {filters} filters" if filters else ""), ""
    yield "no new privileges", {True: "yes", False: "no", None: "cannot be read"}[machine["no_new_privileges"]], ""
    yield _landlock_row(machine)
    for name, state in machine["packet_filters"].items():
        yield name, state, ""
    yield "io_uring", machine["io_uring"], "warn" if machine["io_uring"].startswith("0") else ""
    yield "yama", machine["yama"], "warn" if machine["yama"][:1] in "0a" else ""
    for name, value in machine["proxies"].items():
        yield "proxy", f"{name}={value} (clients may dial it instead of the host; the guard ignores it)", "warn"


def _open_rows(opened: dict[str, Any]) -> Iterator[Row]:
    for one in opened["connected_sockets"]:
        when = {True: "before install()", False: "since install()", None: "since when is not known"}
        state = when[one["before_install"]]
        mark = "" if one["before_install"] is False else "warn"
        yield "connected", f"{one['peer']} ({one['protocol']}, descriptor {one['descriptor']}), {state}", mark
    for one in opened["native_code"]:
        who = one["distribution"] or "no distribution"
        yield "dials itself", f"{one['file']} ({who}) imports {', '.join(one['imports'])}", "warn"
    for one in opened["programs"]:
        what = "a forked child, guarded as this process is" if one["forked"] else "guarded by the kernel layer alone"
        yield "program", f"{one['program']} (process {one['pid']}): {what}", "" if one["forked"] else "warn"


def rows(report: dict[str, Any]) -> Iterator[Row]:
    """Yield the lines of the report: label, text, mark."""
    yield from _guard_rows(report)
    if "machine" in report:
        yield from _machine_rows(report["machine"])
    if "open" in report:
        yield from _open_rows(report["open"])
    for item in report["not_covered"]:
        yield "not seen", item, ""


def text(report: dict[str, Any], *, colour: bool) -> str:
    """Return the report for a person."""
    head = f"egressguard {report['version']}, Python {report['python']}, {report['system']}"
    found = list(rows(report))
    marks = [mark for _, _, mark in found]
    return "\n".join([head, *_terminal.table([row[:2] for row in found], marks=marks, colour=colour)])


def run(arguments: argparse.Namespace) -> int:
    """Report. Always 0, unless ``--prove`` asks for the proof, whose status counts then."""
    if arguments.prove:
        from egressguard import _prove  # noqa: PLC0415

        return _prove.run(arguments)
    try:
        if arguments.file is not None:
            report = json.loads(Path(arguments.file).read_text(encoding="utf-8"))
        else:
            report = fresh(_allowlist_file.of_arguments(arguments))
        shown = text(report, colour=_terminal.has_colour())  # for JSON too: what it cannot show is no posture
        if arguments.json:
            shown = json.dumps(report, indent=2)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        shown = json.dumps({"error": str(error)}) if arguments.json else f"egressguard self-check: {error}"
    sys.stdout.write(shown + "\n")
    return 0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``egressguard self-check``."""
    parser = commands.add_parser("self-check", help="what is enforced here, or could be; exit status 0")
    parser.add_argument("file", nargs="?", help="a posture written by egressguard.posture_to()")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--prove", action="store_true", help="try every route instead: egressguard prove")
    _allowlist_file.add_arguments(parser)
    parser.set_defaults(run=run, layer="all", verbose=False)
