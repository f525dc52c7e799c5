"""The kernel layer: the same verdict for native code and child processes (Linux)."""

from __future__ import annotations

import atexit

from egressguard import _egressguard


class KernelLayerUnavailable(RuntimeError):
    """The kernel layer cannot be put in force here; the text says why. Nothing of it is in force."""


def install_kernel() -> None:
    """Put the verdict of `install` in front of the kernel, for every thread of this process and all it starts.

    Call it after `install`. It cannot be undone and sets PR_SET_NO_NEW_PRIVS (prctl(2)): setuid programs that this
    process starts run without their rights. A second call does nothing. See ``docs/kernel-layer.md``.

    Where a container's profile forbids to act for other processes (Docker's default one does, without CAP_SYS_PTRACE),
    this process is judged and the dials of those that it starts are refused: ``posture()["kernel"]["children"]``.

    Raises
    ------
    KernelLayerUnavailable: this kernel, a container's profile or another seccomp notifier prevents it, and which.
    RuntimeError: `install` was not called.

    """
    first = not _egressguard.posture()["kernel"]["active"]
    why = _egressguard.install_kernel()
    if why is not None:
        raise KernelLayerUnavailable(why)
    if first:
        atexit.register(_egressguard.tell_kernel_refusals)
