"""What children use: say what came of an attempt, in words that a test compares. Imports little on purpose."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any


def tell(value: Any) -> None:
    """Hand one value to the parent; the mark keeps it apart from what libraries print."""
    sys.stdout.write("@told " + json.dumps(value) + "\n")
    sys.stdout.flush()


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, the ones it groups and the ones it came from, each once."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [*getattr(one, "exceptions", ()), *filter(None, (one.__cause__, one.__context__))]


def violation_in(error: BaseException) -> Any:
    """Return the EgressViolation behind an exception, or None."""
    return next((one for one in chain(error) if type(one).__name__ == "EgressViolation"), None)


def outcome(call: Callable[[], object]) -> dict[str, Any]:
    """Call and describe: `type` is the outer exception or None, the rest is about the violation behind it."""
    told: dict[str, Any] = {"type": None, "violation": False, "text": ""}
    try:
        told["value"] = repr(call())
    except BaseException as error:
        violation = violation_in(error)
        told.update(type=type(error).__name__, text=str(error), violation=violation is not None)
        if violation is not None:
            told.update(
                host=violation.host,
                port=violation.port,
                address=violation.address,
                route=violation.route,
                reason=violation.reason,
                unwrapped=violation is error,
            )
    return told


def word(call: Callable[[], object]) -> str:
    """Call and return one word: `done`, the reason of the violation, or the name of another exception."""
    told = outcome(call)
    if told["type"] is None:
        return "done"
    return told["reason"] if told["violation"] else told["type"]
