"""Which installed distribution a source file belongs to.

It is asked inside refusals: in a forked child whose parent was importing, in a sandbox that answers for every import.
So nothing is imported here, `importlib.metadata` (18 ms) least of all: what installers write beside a package is read.
ADR-0017.
"""

from __future__ import annotations

import functools
import os
import sys

METADATA = (".dist-info", ".egg-info")


def split(file: str) -> tuple[str, str]:
    """Split a file name into the folder of `sys.path` that holds it ("" where none does) and the rest."""
    folders = [path.rstrip("/") for path in sys.path if path and file.startswith(path.rstrip("/") + "/")]
    folder = max(folders, key=len, default="")
    return folder, file[len(folder) + 1 :] if folder else file


def short(file: str) -> str:
    """Cut a file name down to the part below `sys.path`: ``requests/api.py`` rather than all of it."""
    return split(file)[1]


def _normal(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)


def _bare(metadata: str) -> str:
    return metadata.removesuffix(".dist-info").removesuffix(".egg-info")


def _read(*path: str) -> bytes:
    try:
        with open("/".join(path), "rb") as file:  # noqa: PTH123  pathlib is slower and may not be imported
            return file.read()
    except OSError:
        return b""


@functools.cache
def _installed(folder: str) -> tuple[str, ...]:
    """Return the metadata folders (a lone file, of old installers) that stand beside the packages of a folder."""
    return tuple(name for name in os.listdir(folder) if name.endswith(METADATA))  # noqa: PTH208  as above


def _by_name(folder: str, top: str) -> str | None:
    """Find ``top-VERSION.dist-info`` beside the package: the common case, without reading any metadata."""
    return next((one for one in _installed(folder) if _normal(_bare(one).partition("-")[0]) == top), None)


@functools.cache
def _tops(folder: str, metadata: str) -> tuple[str, ...]:
    """Return the importable names that a distribution says it brings; not every installer writes that down."""
    return tuple(_read(folder, metadata, "top_level.txt").decode("utf-8", "replace").split())


def _by_metadata(folder: str, relative: str, top: str) -> str | None:
    """Find a package that is named unlike its distribution. Of a namespace that several share, ask for the file."""
    told = {one: _tops(folder, one) for one in _installed(folder)}
    named = [one for one, tops in told.items() if top in tops]
    if len(named) == 1:
        return named[0]
    line = b"\n" + relative.encode("utf-8", "surrogateescape") + b","
    for one in named or [one for one, tops in told.items() if not tops]:
        if line in b"\n" + _read(folder, one, "RECORD").replace(b"\r\n", b"\n"):
            return one
    return None


def _named(folder: str, metadata: str) -> str:
    """Return ``name version``: from the folder's own name, else from what lies in it."""
    name, _, rest = _bare(metadata).partition("-")
    version = rest if metadata.endswith(".dist-info") else rest.partition("-py")[0]
    if not version:
        lines = _read(folder, metadata, "PKG-INFO").decode("utf-8", "replace").splitlines()
        version = next((line.partition(":")[2].strip() for line in lines if line.startswith("Version:")), "")
    return f"{_normal(name)} {version}".rstrip()


@functools.lru_cache(maxsize=1024)  # code that is generated has ever new file names
def of_file(file: str) -> str | None:
    """Return ``name version``, or None where the file belongs to no distribution (the application itself)."""
    folder, relative = split(file)
    if not folder:
        return None
    top = relative.partition("/")[0].removesuffix(".py")
    try:
        # The application's own folder has no metadata beside it: then none need be read.
        found = _by_name(folder, _normal(top)) or _by_metadata(folder, relative, top)
        return _named(folder, found) if found else None
    except Exception:  # noqa: BLE001  a folder that went away must not cost the violation its record
        return None
