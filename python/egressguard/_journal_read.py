"""Reading journal files back. docs/journal-schema.md says what a line holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressguard._fields import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

MARK = f'{{"schema":"{SCHEMA}"'
NEEDED = {"endpoint": str, "host": str, "reason": str, "route": str, "pid": int, "wall_ns": int}


def _record(text: str) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    if not all(isinstance(record.get(name), kind) for name, kind in NEEDED.items()):
        return None
    return record if isinstance(record.get("port"), int | None) else None


def records(path: str | PathLike[str]) -> Iterator[dict[str, Any] | None]:
    """Yield each record of a file, and None for each line that cannot be read. Raises OSError.

    A full disk can leave a line torn, with the next process's whole line glued to it: that one is found again.
    """
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip():
                continue
            record = _record(line)
            if record is None and line.rfind(MARK) > 0:
                yield None
                record = _record(line[line.rfind(MARK) :])
            yield record
