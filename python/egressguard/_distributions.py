"""Which installed distribution a source file belongs to."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from pathlib import PurePath


@functools.cache
def _packages() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


@functools.cache
def of_file(file: str) -> str | None:
    """Return ``name version``, or None where the file belongs to no distribution (the application itself)."""
    folders = [path for path in sys.path if path and file.startswith(path.rstrip("/") + "/")]
    if not folders:
        return None
    top = PurePath(file[len(max(folders, key=len).rstrip("/")) + 1 :]).parts[0]
    names = _packages().get(top.removesuffix(".py"))
    if not names:
        return None
    return f"{names[0]} {importlib.metadata.version(names[0])}"
