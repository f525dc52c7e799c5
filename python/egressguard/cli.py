"""The command ``egressguard``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressguard import DEFAULT_ALLOWLIST, __version__, _allowlist_file, _egressguard, _posture

if TYPE_CHECKING:
    from collections.abc import Sequence


def _entries(arguments: argparse.Namespace) -> tuple[str, ...]:
    entries: tuple[str, ...] = tuple(arguments.allow)
    for file in arguments.allow_file:
        entries += _allowlist_file.read(file)
    return _egressguard.parse(entries or DEFAULT_ALLOWLIST)


def _fresh_report(arguments: argparse.Namespace) -> dict[str, Any]:
    report = _posture.of_process()
    report["allowlist"] = list(_entries(arguments))
    report["layers"] = _posture.layers_offered()
    report["could_be_guarded"] = all(route["known"] for route in report["routes"].values())
    return report


def _show(report: dict[str, Any]) -> str:
    installed = report["installed"]
    lines = [
        f"egressguard {report['version']}, Python {report['python']}, {report['system']}",
        f"guard      {'installed' if installed else 'not installed (this is a fresh process)'}",
    ]
    if "could_be_guarded" in report:
        lines.append(f"could be   {'guarded' if report['could_be_guarded'] else 'NOT guarded: see the routes'}")
        lines += [f"layer      {name}: {state}" for name, state in report["layers"].items()]
    lines.append(f"capability {report['capability']}, loopback open in {report['loopback_threads']} threads")
    lines.append(f"violations {report['violations']}")
    lines += [f"allow      {entry}" for entry in report["allowlist"] or ()]
    for name, route in report["routes"].items():
        state = "enforced" if route["enforced"] else "ready" if route["known"] else "NOT KNOWN"
        lines.append(f"route      {name}: {state}")
    lines += [f"not seen   {item}" for item in report["not_covered"]]
    return "\n".join(lines)


def self_check(arguments: argparse.Namespace) -> int:
    """Report what is, or what could be enforced. Opens no socket, starts no program, always returns 0."""
    try:
        if arguments.file is not None:
            report = json.loads(Path(arguments.file).read_text(encoding="utf-8"))
        else:
            report = _fresh_report(arguments)
        text = json.dumps(report, indent=2) if arguments.json else _show(report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = json.dumps({"error": str(error)}) if arguments.json else f"egressguard self-check: {error}"
    print(text)
    return 0


def _add_allow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow", action="append", default=[], metavar="ENTRY", help="an allowlist entry; repeatable")
    parser.add_argument("--allow-file", action="append", default=[], metavar="FILE", help="a file of entries")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands."""
    parser = argparse.ArgumentParser(prog="egressguard", description=__doc__)
    parser.add_argument("--version", action="version", version=f"egressguard {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("self-check", help="what is enforced here, or could be; exit status 0")
    check.add_argument("file", nargs="?", help="a posture written by egressguard.posture_to()")
    check.add_argument("--json", action="store_true", help="for machines")
    _add_allow(check)
    check.set_defaults(run=self_check)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    parsed = build_parser().parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


if __name__ == "__main__":
    sys.exit(main())
