"""The pytest plugin: a violation that a test did not expect fails it, whoever swallowed the exception.

It holds for the main thread, background threads and forked children, in setup, call and teardown; between tests and at
collection it fails the run. It never touches the test capability and never installs the guard: where nobody installed
it, nothing is refused and nothing fails. While the guard only observes, it reports and fails nothing.
docs/testing.md tells how a project uses it; ``-p no:egressguard`` leaves it out.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from egressguard._expected import Expectation, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from egressguard._pytest_latch import Latch
    from egressguard._violations import Violation

OLDEST = (8, 0)
MARKER = (
    "egress_expected(host=None, port=None, reason=None, at_least=1): the test expects the guard to refuse this; "
    "host may hold *, and at_least=0 says that it may also not happen"
)
LATCH: pytest.StashKey[Latch] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    config.addinivalue_line("markers", MARKER)
    if tuple(map(int, pytest.__version__.split(".")[:2])) < OLDEST:
        text = "egressguard: this pytest is older than 8.0, so swallowed violations fail no test"
        config.issue_config_time_warning(pytest.PytestConfigWarning(text), stacklevel=2)
        return
    from egressguard._pytest_latch import Latch  # noqa: PLC0415  its hooks are written as pytest 8 knows them

    config.stash[LATCH] = Latch(Watch())
    config.pluginmanager.register(config.stash[LATCH], "egressguard-latch")


@pytest.fixture
def egress_expected(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[list[Violation]]]:
    """Return a context manager: inside it the guard is expected to refuse.

    ``with egress_expected("posthog.example") as seen:`` takes what the marker ``egress_expected`` takes. It swallows no
    exception. ``seen`` holds the violations once the block has ended; where there are fewer than ``at_least``, the test
    fails.
    """
    latch = request.config.stash[LATCH]

    @contextlib.contextmanager
    def expect(*args: Any, **kwargs: Any) -> Iterator[list[Violation]]:
        expectation = Expectation(*args, **kwargs)
        with latch.expecting(expectation):
            yield expectation.seen
        if not expectation.is_met:
            pytest.fail(str(expectation.unmet))

    return expect
