"""How long the strength tests run: `./dev stress` sets STRENGTH_SCALE, the ordinary run does without."""

from __future__ import annotations

import os

SCALE = int(os.environ.get("STRENGTH_SCALE", "1"))
CALLS = 5000 * SCALE  # 100,000 with the scale of `./dev stress`
