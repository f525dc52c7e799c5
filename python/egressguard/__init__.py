"""A guard that stops this process from dialling hosts that are not on its allowlist, loopback included.

``import egressguard; egressguard.install()`` and it holds, for every thread and for good. What it does not stop is said
first in the README and in full in ``docs/threat-model.md``.
"""

from __future__ import annotations

from egressguard import _before, _egressguard, _report
from egressguard._egressguard import DEFAULT_ALLOWLIST, EgressViolation
from egressguard._kernel import KernelLayerUnavailable, install_kernel

TYPE_CHECKING = False  # typing's own, without importing typing: that costs more than everything else here
if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import Any

    from egressguard._violations import Violation

__all__ = [
    "DEFAULT_ALLOWLIST",
    "EgressGuard",
    "EgressViolation",
    "KernelLayerUnavailable",
    "explain",
    "fail_on_exit",
    "install",
    "install_kernel",
    "journal_to",
    "observe",
    "posture",
    "posture_to",
    "raise_pending",
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

    A second call with the same list does nothing. It ends an `observe`. Nothing can undo it.

    Raises
    ------
    TypeError: ``allow`` is no iterable of str.
    ValueError: an entry is bad, or could mean this machine (ADR-0006); it is named. Nothing was changed.
    RuntimeError: another list is installed; this interpreter cannot be guarded, and why; not the main interpreter.
        Nothing is enforced by the call.

    """
    if _before.inodes is None:
        _before.look()
    _egressguard.install(allow)
    _report.enforcing()


def observe(allow: Iterable[str] | None = None) -> None:
    """Give the same verdicts as `install` would, let every dial and lookup through, and record what would be refused.

    It says so on standard error and in the posture, and removes the test capability as `install` does. `install` can
    follow and ends the observing. Takes the list, and raises, as `install` does.

    Raises RuntimeError where `install` was called already.
    """
    from egressguard._observe import observe as begin  # noqa: PLC0415  who only installs does not pay for it

    begin(allow)


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


def raise_pending(since: int | None = None) -> None:
    """Raise `EgressViolation` where an attempt was refused that no earlier call raised, whoever swallowed it then.

    The oldest is raised; the others are counted in its text and listed in its notes. One mark serves the process: what
    one call raised, no other raises again. With ``since``, a number such as `violation_count` gave before, only what
    came after it counts, and the mark stays as it is.
    """
    from egressguard._latch import raise_pending as raise_them  # noqa: PLC0415

    raise_them(since)


def fail_on_exit(status: int = 70) -> None:
    """Make this process end with ``status`` (1 to 255) where anything was refused until then.

    Every other `atexit` function runs first and standard output is flushed; the status then replaces the one that the
    program would have ended with. A forked child answers for its own refusals, and its parent for both. It does not
    reach a process that ends by a signal or `os._exit`. Raises ValueError for another status.
    """
    from egressguard._latch import fail_on_exit as arm  # noqa: PLC0415

    arm(status)


def journal_to(target: str | PathLike[str] | int) -> None:
    """Append every violation from now on to a file, as one JSON object a line (docs/journal-schema.md).

    ``target`` is a path, created for its owner alone where it is missing, or an open descriptor, which is duplicated.
    Many processes may append to one file. Each call adds a journal. What cannot be written (a full disk) is counted in
    the posture and said once on standard error; refusals go on.

    Raises OSError where it cannot be opened, and ValueError where the descriptor is a file without ``O_APPEND``.
    """
    from egressguard._journal_file import journal_to as add  # noqa: PLC0415

    add(target)


def explain(endpoint: str, allow: Iterable[str] | None = None) -> dict[str, Any]:
    """Say what a list would do with an endpoint. Nothing is installed, looked up or dialled.

    ``endpoint`` is ``host:port``, ``[IPv6]:port`` or ``unix:/path``; ``allow`` as in `install`. The answer has
    ``allowed`` (bool), ``reason`` (a word of the closed set), ``text`` (the reason for people), ``entry`` (the one that
    allows it, or None), ``kind`` (``name``, ``address`` or ``unix``) and ``next_step`` (or None where it is allowed).

    An address can also be dialled because an allowed name resolved to it: that depends on lookups and is not answered.
    Raises TypeError and ValueError, the latter for a bad endpoint or entry.
    """
    from egressguard._explain import explain as answer  # noqa: PLC0415

    return answer(endpoint, allow)


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
