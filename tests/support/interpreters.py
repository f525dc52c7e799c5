"""Subinterpreters of 3.11 to 3.13 under one name. Use it in children only."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 13):
    import _interpreters as module
else:
    import _xxsubinterpreters as module

# 3.11 has one GIL for all of a process.
GILS = ("shared", "own") if sys.version_info >= (3, 12) else ("shared",)


def create(gil: str = "shared") -> object:
    """Make one; `own` is a GIL of its own and the restrictions that come with it."""
    if sys.version_info >= (3, 13):
        return module.create("isolated" if gil == "own" else "legacy")
    return module.create(isolated=gil == "own")


def run(interpreter: object, source: str) -> None:
    """Run source in it, in the calling thread; what the source raises becomes an exception here."""
    if sys.version_info >= (3, 13):
        failure = module.exec(interpreter, source)
        if failure is not None:
            raise RuntimeError(str(failure))
    else:
        module.run_string(interpreter, source)


def destroy(interpreter: object) -> None:
    """End it."""
    module.destroy(interpreter)
