"""The laboratory of `tests/lab` for tests of other folders: two hosts, a wire, name servers, TLS."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from labtools.lab import Impossible, Lab, find_way


def opened() -> Iterator[Lab]:
    """Yield the laboratory; where it cannot be had, skip with the reason, but fail in CI."""
    try:
        laboratory = Lab(find_way())
    except Impossible as reason:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"CI must not skip the laboratory: {reason}")
        pytest.skip(str(reason))
    yield laboratory
    laboratory.close()
