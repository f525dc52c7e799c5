"""Journal files: one JSON object a line, whole lines from many processes at once. docs/journal-schema.md."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import stat
import time
from typing import TYPE_CHECKING, Any

from egressguard import _egressguard, _report
from egressguard._violations import read

if TYPE_CHECKING:
    from os import PathLike

    from egressguard._violations import Violation

TOLD_MAX = 8192  # well above what the ring holds
PATIENCE = 1.0  # seconds, at the end of the process


class JournalFile:
    """One open journal.

    A line goes out in one ``write`` on an ``O_APPEND`` descriptor, so lines of several processes do not mix. What
    cannot be written is counted in ``lost``, said once on standard error, and never keeps a refusal from happening.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.name = name
        self.written = 0
        self.lost = 0
        self._torn = False  # the last write ended inside a line
        self._told: dict[int, bool] = {}  # numbers that were handed to `add`, the oldest first; False: not done yet

    def add(self, violation: Violation) -> None:
        """Append one line, once for each violation. Raises nothing."""
        if violation.number in self._told:
            return
        self._told[violation.number] = False
        try:
            self._append(violation)
        finally:
            self._told[violation.number] = True
        if len(self._told) > TOLD_MAX:
            with contextlib.suppress(RuntimeError, StopIteration):  # another thread was faster
                self._told.pop(next(iter(self._told)), None)

    def _append(self, violation: Violation) -> None:
        try:
            line = json.dumps(violation.as_dict(), separators=(",", ":")).encode() + b"\n"
            # A line that another write left torn is ended first: it must not swallow this one.
            line = b"\n" + line if self._torn else line
            self._torn = False
            count = os.write(self.descriptor, line)
        except Exception as error:  # noqa: BLE001  a full disk, a closed pipe, no memory: the refusal goes on
            self._lose(str(error))
            return
        if count < len(line):
            self._torn = True
            self._lose(f"only {count} of {len(line)} bytes were written")
        else:
            self.written += 1

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self.lost == 1:
            text = f"egressguard: journal {self.name}: {why}; refusals go on, lost lines are counted in the posture\n"
            with contextlib.suppress(OSError):
                os.write(2, text.encode(errors="backslashreplace"))

    def add_the_rest(self, first: int, owner: int) -> None:
        """Append what nobody told this process: refusals of other interpreters in it, and of the kernel layer.

        The latter name the process that tried, so the process that opened the journal (``owner``) writes them.
        """
        _egressguard.tell_kernel_refusals()
        me, end = os.getpid(), time.monotonic() + PATIENCE
        for violation in read(first):
            mine = violation.pid == me or (violation.kernel and owner == me)
            if mine and violation.number not in self._told:
                self.add(violation)
            # A daemon thread that writes a line would be ended in the middle of it.
            while mine and not self._told.get(violation.number, True) and time.monotonic() < end:
                time.sleep(0.001)

    def state(self) -> dict[str, Any]:
        """Return what the posture says about this journal, for this process."""
        return {"name": self.name, "written": self.written, "lost": self.lost}


def journal_to(target: str | PathLike[str] | int) -> None:
    """Open a journal; see `egressguard.journal_to`."""
    if isinstance(target, int):
        file = JournalFile(_duplicate(target), f"descriptor {target}")
    else:
        path = os.path.abspath(os.fspath(target))  # noqa: PTH100  a link stays a link
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = JournalFile(os.open(path, flags, 0o600), path)
    _report.files.append(file)
    atexit.register(file.add_the_rest, _egressguard.violation_total(), os.getpid())


def _duplicate(descriptor: int) -> int:
    """Copy the descriptor: were the caller's closed, its number could soon be somebody else's socket."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    is_file = stat.S_ISREG(os.fstat(copy).st_mode)
    if is_file and not fcntl.fcntl(copy, fcntl.F_GETFL) & os.O_APPEND:
        os.close(copy)
        raise ValueError(f"descriptor {descriptor} was not opened with O_APPEND: lines of several processes would mix")
    return copy
