"""Properties of random address objects, spellings of numbers and networks; `./dev fuzz` runs the first under atheris."""

from __future__ import annotations

import sys
from pathlib import Path

import children
import pytest
from scale import SCALE

OBJECTS = Path(__file__).parents[1] / "fuzz" / "objects.py"
EXAMPLES = 500 * SCALE


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.usefixtures("own_network")
def test_random_objects_numbers_and_networks() -> None:
    """The child checks each call; here, that calls of both outcomes were among them."""
    inner = 'ip link set lo up && ip addr add 203.0.113.5/32 dev lo && exec "$@"'
    script = [sys.executable, "-P", str(OBJECTS), "hypothesis", str(EXAMPLES)]
    child = children.start([*children.namespace(), "sh", "-c", inner, "sh", *script], seconds=110 * SCALE)
    refused, returned = child.last()
    assert refused > EXAMPLES / 100
    assert returned > EXAMPLES / 100
