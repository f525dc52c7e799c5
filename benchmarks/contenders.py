"""What is compared. Each function makes the list of one guard and returns what installs it.

The latter is what a clock may time; it returns what the guard raises.

Every contender is told to allow the same endpoints, in its own words, and to keep quiet: what a log line costs depends
on the handlers of the application.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

# What is dialled, all in the namespaces of `network`: NEAR takes UDP and answers nothing, FAR is a host with servers.
NEAR, FAR = "192.0.2.1", "198.51.100.1"
PORT = 9999
WEB_PORT = 8080
REFUSED = "192.0.2.7"
REFUSED_NAME = "unlisted.invalid"
LISTED_NAME = "listed.test"

Refusal = type[BaseException]
Install = Callable[[], Refusal]


def more_endpoints(count: int) -> list[tuple[str, int]]:
    """Return so many further endpoints that no measurement dials unless it says so."""
    return [(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", PORT) for number in range(count)]


def unguarded(_: list[tuple[str, int]]) -> Install:
    """Leave the process as it is: a dial to nowhere is an OSError at most."""
    return lambda: OSError


def egressguard(endpoints: list[tuple[str, int]]) -> Install:
    """Install this guard, with its records and call sites."""
    fixed = (f"{NEAR}:{PORT}", f"{FAR}:{WEB_PORT}", f"{LISTED_NAME}:*")
    allow = (*fixed, *(f"{host}:{port}" for host, port in endpoints))
    logging.getLogger("egressguard").setLevel(logging.CRITICAL + 1)

    def install() -> Refusal:
        guard: Any = import_module("egressguard")
        guard.install(allow)
        return guard.EgressViolation  # type: ignore[no-any-return]

    return install


def tethered(endpoints: list[tuple[str, int]], **options: Any) -> Install:
    """Activate tethered as strictly as it goes; whoever is in the process can deactivate it."""
    allow = [f"{NEAR}:{PORT}", f"{FAR}:{WEB_PORT}", LISTED_NAME, *(f"{host}:{port}" for host, port in endpoints)]
    logging.getLogger("tethered").setLevel(logging.CRITICAL + 1)
    strict = {"fail_closed": True, "allow_localhost": False, "external_subprocess_policy": "allow", **options}

    def install() -> Refusal:
        guard: Any = import_module("tethered")
        guard.activate(allow=allow, **strict)
        return guard.EgressBlocked  # type: ignore[no-any-return]

    return install


def tethered_locked(endpoints: list[tuple[str, int]]) -> Install:
    """Activate tethered with its C guardian: the nearest to what this guard does."""
    return tethered(endpoints, locked=True, lock_token=object())


def pytest_socket(endpoints: list[tuple[str, int]]) -> Install:
    """Replace `socket.socket.connect` as pytest-socket does; it knows hosts, no ports."""
    allow = [NEAR, FAR, *(host for host, _ in endpoints)]

    def install() -> Refusal:
        guard: Any = import_module("pytest_socket")
        guard.socket_allow_hosts(allow)
        return guard.SocketConnectBlockedError  # type: ignore[no-any-return]

    return install


CONTENDERS: dict[str, Callable[[list[tuple[str, int]]], Install]] = {
    "unguarded": unguarded,
    "egressguard": egressguard,
    "tethered": tethered,
    "tethered-locked": tethered_locked,
    "pytest-socket": pytest_socket,
}
# What is imported before the clock of "import + install" starts: pytest-socket lives inside pytest.
HOSTS = {"pytest-socket": "pytest"}
