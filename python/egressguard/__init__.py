"""A guard that stops this process from dialling hosts that are not on its allowlist, loopback included.

``import egressguard; egressguard.install()`` and it holds, for every thread and for good. What it does not stop is said
first in the README and in full in ``docs/architecture.md``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own, without importing typing: that costs more than everything else here
if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import Any

    from egressguard._violations import Violation

from egressguard import _egressguard, _report
from egressguard._egressguard import DEFAULT_ALLOWLIST, EgressViolation

__all__ = [
    "DEFAULT_ALLOWLIST",
    "EgressGuard",
    "EgressViolation",
    "install",
    "posture",
    "posture_to",
    "read_allowlist",
    "reset_for_test",
    "violation_count",
    "violations",
]
__version__ = "0.1.0"

_egressguard.set_listener(_report.report)


def install(allow: Iterable[str] | None = None) -> None:
    """Refuse every dial and every lookup that no entry of ``allow`` covers, from now on and for good.

    ``allow`` is an iterable of entries: ``name:port``, ``*.name:port``, ``IPv4:port``, ``IPv4/len:port``,
    ``[IPv6]:port``, ``[IPv6/len]:port``, ``unix:/path``, ``unix:@abstract``; a port is a number, ``lo-hi`` or ``*``.
    Without it, `DEFAULT_ALLOWLIST` as it is compiled in.

    A second call with the same list does nothing. Nothing can undo it.

    Raises
    ------
    TypeError: ``allow`` is no iterable of str.
    ValueError: an entry is bad, or could mean this machine (ADR-0006); it is named. Nothing was changed.
    RuntimeError: another list is installed; this interpreter cannot be guarded, and why; not the main interpreter.
        Nothing is enforced by the call.

    """
    _egressguard.install(allow)


def reset_for_test() -> None:
    """Clear the loopback flag of the calling thread. It can only tighten (ADR-0006)."""
    _egressguard.reset_for_test()


def violations(since: int = 0) -> list[Violation]:
    """Return the most recent refused attempts, oldest first, of this process and its forked children.

    ``since`` leaves out those with a number up to it: pass the last number seen. At least the last 1,024 are kept;
    `violation_count` is exact beyond that.
    """
    from egressguard._violations import read  # noqa: PLC0415  only who asks pays for the import

    return read(since)


def violation_count() -> int:
    """Return how many attempts were refused since `install`, in this process and its forked children."""
    return _egressguard.violation_total()


def posture() -> dict[str, Any]:
    """Return what the guard and the operating system enforce right now, as plain data (JSON can hold it)."""
    from egressguard._posture import of_process  # noqa: PLC0415

    return of_process()


def posture_to(path: str | PathLike[str]) -> None:
    """Write `posture` to a file as JSON, for ``egressguard self-check FILE``. Raises OSError."""
    from egressguard._posture import write  # noqa: PLC0415

    write(path)


def read_allowlist(path: str | PathLike[str]) -> tuple[str, ...]:
    """Read entries from a file: one a line, ``#`` starts a comment. Ready for ``install(allow=...)``.

    Raises OSError, and ValueError with the file, the line and what is wrong.
    """
    from egressguard._allowlist_file import read as read_file  # noqa: PLC0415

    return read_file(path)


class EgressGuard:
    """The same functions under the names that ADR-0006 uses."""

    install = staticmethod(install)
    reset_for_test = staticmethod(reset_for_test)

    @staticmethod
    def create_connection(*args: Any, **kwargs: Any) -> Any:
        """Call `socket.create_connection`, which the guard judges like every dial."""
        import socket  # noqa: PLC0415

        return socket.create_connection(*args, **kwargs)
