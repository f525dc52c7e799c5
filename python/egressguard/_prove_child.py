"""One attempt, in a process of its own: ``python -m egressguard._prove_child ROUTE TARGET``."""

from __future__ import annotations

import json
import sys
from typing import Any

import egressguard
from egressguard import _egressguard, _prove_lookups, _prove_native, _prove_routes  # noqa: F401  they fill the table


def nothing() -> None:
    """Stand in for the guard in the unguarded run."""


def install() -> None:
    """Install all layers that this release and this machine have."""
    egressguard.install()
    kernel = getattr(egressguard, "install_kernel", None)
    if kernel is not None:
        try:
            kernel()
        except RuntimeError as error:
            sys.stderr.write(f"{error}\n")


def main(name: str, text: str) -> int:
    """Try, and print one JSON object about what came of it."""
    told: dict[str, Any] = {"outcome": "through", "detail": "", "by": None}
    target = _prove_routes.Target(**json.loads(text))
    try:
        _prove_routes.ROUTES[name].attempt(target, install if target.guarded else nothing)
    except _prove_routes.Absent as error:
        told.update(outcome="absent", detail=str(error))
    except BaseException as error:  # noqa: BLE001  whatever it is, it is reported
        told.update(outcome="failed", detail=f"{type(error).__name__}: {error}".partition("\n")[0])
    state = _egressguard.posture()
    told["installed"] = state["mode"] == "enforcing"
    # What the kernel layer's filter answers by itself, such as ENOSYS to io_uring, stands in no journal.
    by_filter = "kernel" if told["outcome"] == "failed" and state["kernel"]["active"] else None
    layers = {"kernel" if one.kernel else "python" for one in egressguard.violations()}
    told["by"] = max(layers, default=by_filter)  # both: the first one let it through
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
