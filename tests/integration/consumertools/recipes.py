"""The recipes of docs/temporal.md, taken from the document itself: what is tested is what people copy."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "temporal.md"


def recipe(name: str) -> str:
    """Return the Python block whose first line is a comment with this file name."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if block.startswith(f"# {name}\n")]
    assert len(found) == 1, f"{DOCUMENT.name} has {len(found)} blocks named {name}"
    return found[0]


def write_recipes(folder: Path) -> None:
    """Write all of them as modules."""
    for name in ("egress_errors.py", "egress_temporal.py", "egress_threads.py"):
        (folder / name).write_text(recipe(name))
