"""Run one operation so many times and end: `python -S -m benchmarks.calls CONTENDER OPERATION COUNT`, for callgrind."""

from __future__ import annotations

import sys

from benchmarks.contenders import CONTENDERS
from benchmarks.work import UNROLLED, WORK


def main(contender: str, operation: str, count: int) -> None:
    """Put the contender in place, then call."""
    kind = CONTENDERS[contender]([])()
    WORK[operation](kind)(count // UNROLLED)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
