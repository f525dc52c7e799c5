# ruff: noqa: PYI021  the only place where a person and an editor find what these do
"""The extension. Use the package `egressguard`; this is its inside, and may change."""

from collections.abc import Callable, Iterable
from typing import Any, Final

DEFAULT_ALLOWLIST: Final[tuple[str, ...]]
JOURNAL_SLOTS: Final[int]

class EgressViolation(RuntimeError):
    """A dial or a lookup that the guard refused.

    Not an OSError: clients retry or swallow those (docs/architecture.md).
    """

    host: str
    """What was asked for: a name, an address, ``unix:/path``."""
    port: int | None
    """None where the attempt named none."""
    address: str | None
    """What the host resolved to, where that is why it was refused."""
    route: str
    """The call that was refused, such as ``connect``."""
    reason: str
    """One word of a closed set, such as ``not-listed``."""
    number: int | None
    """Its number in the journal; None where the exception was not raised by the guard."""

def install(allow: Iterable[str] | None, /) -> None: ...
def observe(allow: Iterable[str] | None, /) -> None: ...
def explain(allow: Iterable[str] | None, endpoint: str, /) -> dict[str, Any]: ...
def parse(allow: Iterable[str] | None, /) -> tuple[str, ...]: ...
def allowlist() -> tuple[str, ...] | None: ...
def reset_for_test() -> None: ...
def violation_total() -> int: ...
def violation(number: int, /) -> dict[str, Any] | None: ...
def set_exit_status(status: int, since: int, /) -> None: ...
def set_listener(listener: Callable[[int], object] | None, /) -> None: ...
def posture() -> dict[str, Any]: ...
def install_kernel() -> str | None: ...
def tell_kernel_refusals() -> None: ...
def run_supervised(
    allow: Iterable[str] | None,
    command: tuple[bytes, ...],
    wait: bool,
    on_refusal: Callable[[dict[str, Any]], object],
    /,
) -> tuple[int, int, str | None, dict[str, int]]: ...
