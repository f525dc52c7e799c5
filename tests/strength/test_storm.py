"""The storm of `storm.py`, for a few seconds. `./dev stress` runs it for minutes."""

from __future__ import annotations

import sys
from pathlib import Path

import children
import pytest
from listeners import Endpoint
from scale import SCALE

HERE = Path(__file__).parent
SECONDS = 5 * SCALE
SURVIVED = 42


@pytest.mark.timeout(60 + 2 * SECONDS)
@pytest.mark.parametrize("kind", ["forks", "interpreters"])
def test_everything_at_once(kind: str, listener: Endpoint) -> None:
    command = [sys.executable, "-P", str(HERE / "storm.py"), str(SECONDS), str(listener.port), kind]
    child = children.start(command, seconds=50 + 2 * SECONDS)
    assert child.code == SURVIVED, f"{child.code}\n{child.out}\n{child.err[-8000:]}"
    assert listener.seen() == []
