"""Hears when a test catches a violation by name: ``pytest.raises(EgressViolation)``, ``assertRaises``.

pytest has no hook for that, so the ``__exit__`` of its context managers is wrapped while the plugin is active. The
original decides as before; only afterwards the caught exception is handed on. Where a pytest names these classes
otherwise, nothing is wrapped, and a test says what it expects with ``egress_expected``.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any

from egressguard import _egressguard
from egressguard._egressguard import EgressViolation

if TYPE_CHECKING:
    from collections.abc import Callable

# Where the context managers are: pytest 8.4 and later; before that; unittest, which pytest runs as well.
PLACES = (
    ("_pytest.raises", "RaisesExc"),
    ("_pytest.raises", "RaisesGroup"),
    ("_pytest.python_api", "RaisesContext"),
    ("unittest.case", "_AssertRaisesContext"),
)
WORDS = ("expected_exceptions", "expected_exception", "expected")
MARK = "_egressguard_mark"


def names_violation(expected: object) -> bool:
    """Whether what a context manager expects is `EgressViolation` by name, not one of its bases."""
    if isinstance(expected, type):
        return issubclass(expected, EgressViolation)
    if isinstance(expected, tuple | list):
        return any(map(names_violation, expected))
    return any(names_violation(getattr(expected, word)) for word in WORDS if hasattr(expected, word))


class Listening:
    """Wraps the classes of `PLACES` that are imported; `stop` puts everything back."""

    def __init__(self, heard: Callable[[BaseException, int], None]) -> None:
        self._heard = heard
        self._undo: dict[tuple[str, str], Callable[[], None]] = {}

    def listen(self) -> None:
        """Wrap what is imported by now and not wrapped yet."""
        for place in PLACES:
            module, name = place
            kind = getattr(sys.modules.get(module), name, None)
            if place not in self._undo and isinstance(kind, type):
                self._undo[place] = self._wrap(kind)

    def stop(self) -> None:
        """Put the originals back."""
        for undo in self._undo.values():
            undo()
        self._undo.clear()

    def _wrap(self, kind: Any) -> Callable[[], None]:
        enter, leave, heard = kind.__enter__, kind.__exit__, self._heard

        @functools.wraps(enter)
        def begin(self: Any) -> Any:
            with contextlib.suppress(AttributeError):
                setattr(self, MARK, _egressguard.violation_total())
            return enter(self)

        @functools.wraps(leave)
        def end(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
            suppressed = leave(self, exc_type, exc_value, traceback)
            if suppressed and exc_value is not None and names_violation(self):
                heard(exc_value, getattr(self, MARK, 0))
            return suppressed

        def undo() -> None:
            # Only where nobody wrapped it after us: theirs calls ours, which is harmless.
            if kind.__enter__ is begin:
                kind.__enter__ = enter
            if kind.__exit__ is end:
                kind.__exit__ = leave

        kind.__enter__, kind.__exit__ = begin, end
        return undo
