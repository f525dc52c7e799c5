"""Records of the journal as Python values."""

from __future__ import annotations

import os
import threading
from collections import namedtuple

from egressguard import _egressguard
from egressguard._distributions import of_file, short
from egressguard._fields import of_violation

TYPE_CHECKING = False  # typing costs more than all of the guard, and this module is always loaded
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    class _Record(NamedTuple):
        number: int
        monotonic_ns: int
        wall_ns: int
        pid: int
        thread: int
        host: str
        port: int | None
        address: str | None
        route: str
        reason: str
        file: str | None
        line: int
        program: str
        observed: bool
        kernel: bool
        caller_file: str | None = None
        caller_line: int = 0
        library_file: str | None = None
else:
    _Record = namedtuple(  # noqa: PYI024  the typed one is above
        "_Record",
        "number monotonic_ns wall_ns pid thread host port address route reason file line program observed kernel "
        "caller_file caller_line library_file",
        defaults=(None, 0, None),
    )


class Violation(_Record):
    """One refused attempt.

    ``number`` counts from 1; ``monotonic_ns`` and ``wall_ns`` are nanoseconds of CLOCK_MONOTONIC and CLOCK_REALTIME;
    ``thread`` is the kernel's thread id; ``port`` is None where the attempt named none; ``address`` is what the host
    resolved to, where that is why. ``file`` and ``line`` are the call site: the first frame outside the standard
    library and the guard, or None and 0. Where that frame belongs to an installed package, ``caller_file`` and
    ``caller_line`` are the application's own line behind it, and ``library_file`` is the file that this line called.
    ``program`` is who tried, where the kernel layer refused; ``observed`` says that the attempt was let through.
    """

    __slots__ = ()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Violation:
        """Make one from what the extension returns."""
        return cls(**record)

    @property
    def endpoint(self) -> str:
        """``host:port`` as an allowlist entry would spell it; only the host where the attempt named no port."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("unix:") else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def distribution(self) -> str | None:
        """The installed distribution that dialled, such as ``requests 2.34``, or None: worked out now, not then."""
        file = self.library_file or self.file
        return None if file is None else of_file(file)

    @property
    def site(self) -> str | None:
        """Where the application's code asked for it, or None: ``yourpkg/telemetry.py:41``."""
        if self.caller_file is not None:
            return f"{short(self.caller_file)}:{self.caller_line}"
        return None if self.file is None else f"{short(self.file)}:{self.line}"

    @property
    def thread_name(self) -> str | None:
        """The name of the Python thread that tried, or None where that ended or belongs to another process."""
        if self.pid != os.getpid():
            return None
        names = (one.name for one in threading.enumerate() if one.native_id == self.thread)
        return next(names, None)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, for JSON; docs/journal-schema.md explains each."""
        return of_violation(self)

    def __str__(self) -> str:
        """Who tried what, in one line."""
        who, site = self.distribution or self.program, self.site
        if who and site:
            who = f"{who} (called from {site})"
        who = who or site or f"process {self.pid}"
        resolved = "" if self.address is None else f" [{self.address}]"
        name = self.thread_name
        thread = "" if name in (None, "MainThread") else f" in thread {name}"
        done = "let through, would be refused" if self.observed else "refused"
        line = f"{who} tried {self.endpoint}{resolved}{thread}: {done}, {self.reason} ({self.route})"
        # File names of generated code and names of threads are anybody's text: they begin no line of their own.
        return line if line.isprintable() else "".join(one if one.isprintable() else "?" for one in line)


def read(since: int, until: int | None = None) -> list[Violation]:
    """Return what the ring still holds after number ``since`` and up to ``until``, oldest first."""
    until = _egressguard.violation_total() if until is None else until
    first = max(since + 1, until - _egressguard.JOURNAL_SLOTS + 1, 1)
    records = map(_egressguard.violation, range(first, until + 1))
    return [Violation.from_record(record) for record in records if record is not None]
