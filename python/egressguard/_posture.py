"""The posture: what is enforced, as plain data. Reports only; nothing here changes anything."""

from __future__ import annotations

import json
import os
import platform
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import egressguard
from egressguard import _egressguard, _machine, _open, _report

if TYPE_CHECKING:
    from os import PathLike

NOT_COVERED_WITHOUT_KERNEL = (
    "native code (C extensions, Rust cores, ctypes) that calls the operating system itself",
    "other programs, child interpreters included",
)
NOT_COVERED = (
    "sockets that were connected before install(), or received from an unguarded process",
    "code that writes this process's memory",
    "whatever an allowed host is willing to relay",
)


def of_process() -> dict[str, Any]:
    """Return the posture of this process."""
    state = _egressguard.posture()
    routes = {
        name: {"known": known, "swapped": swapped, "enforced": bool(state["installed"] and swapped)}
        for name, (known, swapped) in state.pop("routes").items()
    }
    entries = _egressguard.allowlist()
    return {
        "schema": 1,
        "version": egressguard.__version__,
        "pid": os.getpid(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **state,
        "allowlist": None if entries is None else list(entries),
        "routes": routes,
        "journals": [file.state() for file in _report.files],
        "machine": _machine.of_machine(),
        "open": _open.of_process(),
        "not_covered": [*(() if state["kernel"]["active"] else NOT_COVERED_WITHOUT_KERNEL), *NOT_COVERED],
    }


def write(path: str | PathLike[str]) -> None:
    """Write the posture as JSON; a reader of a file never sees half of it.

    A path that is there and is no regular file (a pipe, a device, a link) is written to, never replaced.
    """
    target = Path(path)
    text = json.dumps(of_process(), indent=2) + "\n"
    if os.path.lexists(target) and not stat.S_ISREG(target.lstat().st_mode):
        target.write_text(text, encoding="utf-8")
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(target)


def layers_offered() -> dict[str, str]:
    """Say which layers this machine offers, from what an unprivileged process can read."""
    implementation = sys.implementation.name
    return {
        "python": "yes" if implementation == "cpython" else f"no: {implementation} is not CPython",
        "kernel": _kernel_layer_offered(),
    }


def _kernel_layer_offered() -> str:
    """Only trying tells for certain; what can be read says whether it is worth it."""
    if sys.platform != "linux":
        return "no: it needs Linux"
    actions = _machine.text_of(Path("/proc/sys/kernel/seccomp/actions_avail"))
    if actions is None or "user_notif" not in actions.split():
        return "no: this kernel tells of no seccomp user notification"
    return "likely: install_kernel() is to be called after install(), and says why where it cannot be had"
