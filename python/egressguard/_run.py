"""``egressguard run``: any program, under the verdict."""

from __future__ import annotations

import json
import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import TYPE_CHECKING, Any, TextIO

from egressguard import DEFAULT_ALLOWLIST, _allowlist_file, _egressguard
from egressguard._kernel import KernelLayerUnavailable
from egressguard._terminal import printable
from egressguard._violations import Violation

if TYPE_CHECKING:
    import argparse

CANNOT_RUN = 125  # the status of env(1) and timeout(1) for a failure of their own
SUMMARY_LINES = 20
DISTINCT = 1000  # a command can make up endpoints without end; this process's memory has one


class _Refusals:
    """Counts what was refused, and writes each to the report as it happens."""

    def __init__(self, report: TextIO | None) -> None:
        self.report = report
        self.counted: dict[tuple[str, str, str], int] = {}
        self.total = 0

    def add(self, record: dict[str, Any]) -> None:
        violation = Violation.from_record(record)
        what = violation.program or f"process {violation.pid}", violation.endpoint, violation.reason
        self.total += 1
        if what in self.counted or len(self.counted) < DISTINCT:
            self.counted[what] = self.counted.get(what, 0) + 1
        if self.report is not None:
            print(json.dumps(violation.as_dict()), file=self.report, flush=True)

    def summary(self, counts: dict[str, int]) -> str:
        most = sorted(self.counted.items(), key=lambda one: -one[1])[:SUMMARY_LINES]
        lines = [
            printable(f"egressguard:   {program} tried {endpoint}: {reason}{f' ({times} times)' if times > 1 else ''}")
            for (program, endpoint, reason), times in most
        ]
        quiet = counts["probes_elsewhere"]
        if quiet:
            lines.append(f"egressguard:   and {quiet} UDP connects that had sent nothing yet")
        if not lines:
            return ""
        rest = len(self.counted) - SUMMARY_LINES
        if rest > 0:
            lines.append(f"egressguard:   and {rest} more")
        others = self.total - sum(self.counted.values())
        if others:
            lines.append(f"egressguard:   and {others} calls beyond the first {DISTINCT} kinds, not told apart")
        return "\n".join([f"egressguard: refused {self.total} of {counts['judged']} judged calls:", *lines])


def _import_no_more(allow: tuple[str, ...]) -> None:
    """Let nothing be imported from files any more.

    The command may write where Python looks for modules, and this process stands outside the filter: a module that is
    first imported when the command has run would be the command's code, free to dial. What is compiled into the
    interpreter stays importable. Submodules are not looked for on ``sys.path``, so emptying that would not be enough,
    and what other finders there are (editable installations have one) nobody knows.
    """
    "".encode("unicode_escape")  # codecs are modules: the summary's
    if not all(entry.isascii() for entry in allow):
        "ü".encode("idna")  # and that of the entries, which are parsed below
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is BuiltinImporter or finder is FrozenImporter]
    sys.path_hooks.clear()
    sys.path.clear()
    sys.path_importer_cache.clear()


def supervise(allow: tuple[str, ...], command: list[str], wait: bool, report: TextIO | None) -> int:
    """Run the command under the verdict and return the exit status for a shell: its own, or 128 + signal."""
    refusals = _Refusals(report)
    argv = tuple(os.fsencode(word) for word in command)
    _import_no_more(allow)
    status, exec_error, why, counts = _egressguard.run_supervised(allow, argv, wait, refusals.add)
    if why is not None:
        raise KernelLayerUnavailable(why)
    if exec_error:
        print(f"egressguard run: {command[0]}: {os.strerror(exec_error)}", file=sys.stderr)
    summary = refusals.summary(counts)
    if summary:
        print(summary, file=sys.stderr)
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def run(arguments: argparse.Namespace) -> int:
    """Carry the subcommand out."""
    command: list[str] = arguments.argv
    if command[:1] == ["--"]:
        command = command[1:]
    try:
        if not command:
            raise ValueError("no command; egressguard run [--allow ENTRY]... -- COMMAND...")
        allow = tuple(arguments.allow)
        for file in arguments.allow_file:
            allow += _allowlist_file.read(file)
        if not allow and not arguments.allow_file:
            allow = DEFAULT_ALLOWLIST
        if arguments.report is None:
            return supervise(allow, command, arguments.wait, None)
        with open(arguments.report, "a", encoding="utf-8") as report:  # noqa: PTH123  "-" is not special
            return supervise(allow, command, arguments.wait, report)
    except (OSError, ValueError, KernelLayerUnavailable) as error:
        print(f"egressguard run: {error}", file=sys.stderr)
        return CANNOT_RUN


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``run`` to the subcommands of ``egressguard``."""
    import argparse  # noqa: PLC0415

    parser = subparsers.add_parser(
        "run",
        help="run a command that can dial nothing but the allowlist (Linux)",
        usage="%(prog)s [--allow ENTRY]... [--allow-file FILE]... [--report FILE] [--wait] -- COMMAND...",
        description="Run a command, and all that it starts, under the verdict. The exit status is the command's, 128 + "
        f"the number of the signal that ended it, or {CANNOT_RUN} where it could not be supervised.",
    )
    parser.add_argument("--allow", action="append", default=[], metavar="ENTRY", help="an allowlist entry; repeatable")
    parser.add_argument("--allow-file", action="append", default=[], metavar="FILE", help="a file of entries")
    parser.add_argument("--report", metavar="FILE", help="append each refusal to FILE, one line of JSON each")
    parser.add_argument("--wait", action="store_true", help="stay until all that the command started has ended")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)
