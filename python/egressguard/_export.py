"""``egressguard export``: the same entries for the engines that enforce at fleet scale.

What a target cannot express is never dropped in silence: it stands in a comment of the output and on standard error.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from egressguard import _allowlist_file, _entries

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from egressguard._entries import Entry

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([-A-Za-z0-9_./]+)=([-A-Za-z0-9_.]*)")


class Order(NamedTuple):
    """What to export, and how it is called there."""

    entries: list[Entry]
    name: str
    namespace: str | None
    labels: dict[str, str]  # of the pods it is for; none: all of the namespace


class Exported(NamedTuple):
    """The text for the target without its comments, and what it does not say: an entry and the reason, each."""

    text: str
    remarks: tuple[str, ...]  # what is different there, whatever the list
    left_out: tuple[tuple[str, str], ...]
    widened: tuple[tuple[str, str], ...] = ()  # expressed, but the target opens more
    narrowed: tuple[tuple[str, str], ...] = ()  # expressed, but the target opens less


def ports_of(entry: Entry) -> tuple[int, int]:
    """Return the port range of an entry, without the port 0 that nobody dials."""
    return (1, 65535) if entry.every_port else (entry.low, entry.high)


def without(entries: list[Entry], **reasons: str) -> tuple[tuple[str, str], ...]:
    """Return the entries whose kind has a reason to be left out, each with it."""
    return tuple((entry.text, reasons[entry.kind]) for entry in entries if entry.kind in reasons)


def _targets() -> dict[str, Callable[[Order], Exported]]:
    from egressguard import _export_cilium, _export_kubernetes, _export_nftables, _export_systemd  # noqa: PLC0415

    return {
        "nftables": _export_nftables.export,
        "networkpolicy": _export_kubernetes.export,
        "cilium": _export_cilium.export,
        "systemd": _export_systemd.export,
    }


def inexact(exported: Exported) -> list[tuple[str, str, str]]:
    """Return what the target does not say exactly: a word, the entry, and why, each."""
    found = (
        ("not expressed", exported.left_out),
        ("wider here", exported.widened),
        ("narrower here", exported.narrowed),
    )
    return [(word, entry, why) for word, entries in found for entry, why in entries]


def commented(exported: Exported, target: str) -> str:
    """Return the text with its comments in front."""
    lines = [f"# egressguard export --format {target}"]
    lines += [f"# Differs from the guard: {remark}" for remark in exported.remarks]
    lines += [f"# {word.upper()}: {entry}: {why}" for word, entry, why in inexact(exported)]
    return "\n".join(lines) + "\n" + exported.text


def _labels(texts: list[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        match = LABEL.fullmatch(text)
        if match is None:
            raise ValueError(f"--select {text!r}: write KEY=VALUE")
        labels[match[1]] = match[2]
    return labels


def _order(arguments: argparse.Namespace) -> Order:
    for option in ("name", "namespace"):
        value = getattr(arguments, option)
        if value is not None and not NAME.fullmatch(value):
            raise ValueError(f"--{option} {value!r}: lower-case letters, digits and -, at most 63")
    entries = _entries.of_list(_allowlist_file.of_arguments(arguments))
    return Order(entries, arguments.name, arguments.namespace, _labels(arguments.select))


def run(arguments: argparse.Namespace) -> int:
    """Export. Exit status 0; 2 where the list cannot be read; with ``--strict`` 1 where it is not expressed exactly."""
    try:
        exported = _targets()[arguments.format](_order(arguments))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"egressguard export: {error}\n")
        return 2
    for word, entry, why in inexact(exported):
        sys.stderr.write(f"egressguard export: {word}: {entry}: {why}\n")
    sys.stdout.write(commented(exported, arguments.format))
    return int(arguments.strict and bool(inexact(exported)))


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``egressguard export``."""
    formats = ("nftables", "networkpolicy", "cilium", "systemd")
    parser = commands.add_parser("export", help="the list for nftables, Kubernetes, Cilium or systemd")
    parser.add_argument("--format", choices=formats, required=True, help="the target")
    parser.add_argument("--name", default="egressguard", help="of the table, policy or unit")
    parser.add_argument("--namespace", help="of the policy (Kubernetes, Cilium)")
    parser.add_argument(
        "--select", action="append", default=[], metavar="KEY=VALUE", help="a label of the pods it is for; repeatable"
    )
    parser.add_argument("--strict", action="store_true", help="exit status 1 where an entry is not expressed exactly")
    _allowlist_file.add_arguments(parser)
    parser.set_defaults(run=run)
