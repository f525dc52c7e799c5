"""Records of the journal as Python values."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from egressguard import _egressguard


class Violation(NamedTuple):
    """One refused attempt.

    ``number`` counts from 1; ``monotonic_ns`` and ``wall_ns`` are nanoseconds of CLOCK_MONOTONIC and CLOCK_REALTIME;
    ``thread`` is the kernel's thread id; ``file`` and ``line`` are the call site: the first frame outside the standard
    library and the guard, or None and 0.
    """

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

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Violation:
        """Make one from what the extension returns."""
        return cls(**record)

    @property
    def endpoint(self) -> str:
        """``host:port`` as an allowlist entry would spell it."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("unix:") else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def distribution(self) -> str | None:
        """The installed distribution that the call site belongs to, such as ``requests 2.34``; worked out now."""
        from egressguard._distributions import of_file  # noqa: PLC0415

        return None if self.file is None else of_file(self.file)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, for JSON."""
        return self._asdict()

    def __str__(self) -> str:
        """Who tried what, in one line."""
        who = self.distribution or self.program or f"process {self.pid}"
        site = "" if self.file is None else f" (called from {short_path(self.file)}:{self.line})"
        return f"{who}{site} tried {self.endpoint}: {self.reason} ({self.route})"


def short_path(file: str) -> str:
    """Cut a file name down to the part below sys.path: ``requests/api.py`` rather than all of it."""
    folders = [path for path in sys.path if path and file.startswith(path.rstrip("/") + "/")]
    return file[len(max(folders, key=len).rstrip("/")) + 1 :] if folders else file


def read(since: int) -> list[Violation]:
    """Return what the ring still holds after number ``since``, oldest first."""
    total = _egressguard.violation_total()
    first = max(since + 1, total - _egressguard.JOURNAL_SLOTS + 1, 1)
    records = (_egressguard.violation(number) for number in range(first, total + 1))
    return [Violation.from_record(record) for record in records if record is not None]
