"""The command ``egressguard``: each subcommand is a module with `add_parser`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from egressguard import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("_selfcheck", "_prove", "_explain", "_lint", "_suggest_command", "_export")
KERNEL = "_run"  # there only where the kernel layer is


def _modules() -> list[str]:
    from importlib.util import find_spec  # noqa: PLC0415

    return [*COMMANDS, *([KERNEL] if find_spec(f"egressguard.{KERNEL}") else [])]


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands."""
    parser = argparse.ArgumentParser(prog="egressguard", description="Stop a process from dialling unlisted hosts.")
    parser.add_argument("--version", action="version", version=f"egressguard {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _modules():
        importlib.import_module(f"egressguard.{name}").add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    parsed = build_parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
