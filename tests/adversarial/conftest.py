"""Fixtures for the one test here that needs a Temporal server: the integration tests own them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from consumertools.fixtures import network, project, temporal

__all__ = ["network", "project", "temporal"]
