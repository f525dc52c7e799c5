"""Which installed distribution a source file belongs to."""

from __future__ import annotations

import functools
import os
import re
import sys


def split(file: str) -> tuple[str, str]:
    """Split a file name into the folder of `sys.path` that holds it ("" where none does) and the rest."""
    folders = [path.rstrip("/") for path in sys.path if path and file.startswith(path.rstrip("/") + "/")]
    folder = max(folders, key=len, default="")
    return folder, file[len(folder) + 1 :] if folder else file


def short(file: str) -> str:
    """Cut a file name down to the part below `sys.path`: ``requests/api.py`` rather than all of it."""
    return split(file)[1]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _by_folder(folder: str, top: str) -> str | None:
    """Find ``top-VERSION.dist-info`` beside the package: the common case, without reading any metadata."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  runs inside a refusal: pathlib is slower and may not be imported
    except OSError:
        return None
    for name in names:
        distribution, _, version = name.removesuffix(".dist-info").partition("-")
        if name.endswith(".dist-info") and version and _normal(distribution) == _normal(top):
            return f"{_normal(distribution)} {version}"
    return None


@functools.cache
def _holds_distributions(folder: str) -> bool:
    return any(name.endswith((".dist-info", ".egg-info")) for name in os.listdir(folder))  # noqa: PTH208  as above


@functools.cache
def _packages() -> dict[str, list[str]]:
    import importlib.metadata  # noqa: PLC0415  20 ms, for packages that are named unlike their distribution

    return dict(importlib.metadata.packages_distributions())


def _by_metadata(relative: str, top: str) -> str | None:
    names = _packages().get(top, [])
    if not names:
        return None
    import importlib.metadata  # noqa: PLC0415

    for name in dict.fromkeys(names):  # a namespace package belongs to several: ask each for the file itself
        files = importlib.metadata.distribution(name).files or ()
        if len(set(names)) == 1 or any(str(path) == relative for path in files):
            return f"{_normal(name)} {importlib.metadata.version(name)}"
    return None


@functools.cache
def of_file(file: str) -> str | None:
    """Return ``name version``, or None where the file belongs to no distribution (the application itself)."""
    folder, relative = split(file)
    if not folder:
        return None
    top = relative.partition("/")[0].removesuffix(".py")
    try:
        if not _holds_distributions(folder):  # the application's own folder: no metadata need be read
            return None
        return _by_folder(folder, top) or _by_metadata(relative, top)
    except Exception:  # noqa: BLE001  broken metadata of somebody else's must not cost the violation its record
        return None
