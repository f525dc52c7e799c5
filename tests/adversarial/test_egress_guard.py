"""ADR-0006: real clients against a real listener on loopback, and against forbidden hosts.

Each client runs three times against a listener of its own: without the guard (it must reach it, or the other two say
nothing), with the guard (refused, and the listener saw nothing), and in a pytest run that requests the fixture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import children
import pytest
from clients import CLIENTS, DISCARDS, OTHER_THREADS, WRAPS
from listeners import Endpoint, Listeners, have_ipv6

import egressguard

LOOPBACK = ["127.0.0.1", "localhost", *(["::1"] if have_ipv6() else [])]
# RFC 5737, RFC 3849, RFC 2606: nobody's; and the listed host on a port that its entry does not open.
FORBIDDEN = ["203.0.113.9", "2001:db8::9", "forbidden.example", "api.anthropic.com"]
FORBIDDEN_PORT = 8443  # not a port of any name entry, so the guard has no reason to look a name up
CELLS = [(name, host) for name in CLIENTS for host in LOOPBACK]

# Imports first, as an application does; then the guard.
DRIVER = """
import sys
from clients import CLIENTS
from inside import outcome, tell
import json
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install()
for name, host, port in json.loads(sys.argv[2]):
    before = egressguard.violation_count() if sys.argv[1] == "guarded" else 0
    told = outcome(lambda: CLIENTS[name](host, port))
    told["client"], told["target"] = name, host
    if sys.argv[1] == "guarded":
        told["journal"] = [[v.host, v.port, v.reason] for v in egressguard.violations(before)]
    tell(told)
"""
WITH_FIXTURE = """
import json
import pytest
from clients import CLIENTS
from inside import outcome, tell

@pytest.mark.parametrize(("name", "host", "port"), json.loads({cells!r}))
def test_client(name, host, port, egress_test_loopback, capsys):
    told = outcome(lambda: CLIENTS[name](host, port))
    told["client"], told["target"] = name, host
    with capsys.disabled():
        tell(told)
"""
Table = dict[tuple[str, str], dict[str, Any]]
cache: dict[str, Table] = {}


def attach_arrivals(told: list[dict[str, Any]], endpoints: dict[tuple[str, str], Endpoint]) -> Table:
    """Add what each cell's own listener saw to what its client told."""
    table = {(one["client"], one["target"]): one for one in told}
    for cell, endpoint in endpoints.items():
        table[cell]["seen"] = endpoint.seen()
    return table


def drive(mode: str, listeners: Listeners, folder: Path) -> Table:
    """Run all clients in one child process of this mode, once for the whole file."""
    if mode not in cache:
        endpoints = {cell: listeners.open() for cell in CELLS}
        cells = json.dumps([[name, host, endpoints[name, host].port] for name, host in CELLS])
        if mode == "fixture":
            child = children.pytest_run(folder, WITH_FIXTURE.format(cells=cells), "-q")
        else:
            child = children.python(DRIVER, mode, cells)
        cache[mode] = attach_arrivals(child.told(), endpoints)
    return cache[mode]


@pytest.mark.parametrize(("client", "host"), CELLS)
def test_without_the_guard_the_client_reaches_loopback(
    client: str, host: str, listeners: Listeners, tmp_path: Path
) -> None:
    """The attack works: what is refused below would have arrived."""
    told = drive("unguarded", listeners, tmp_path)[client, host]
    assert told["type"] is None, told["text"]
    assert told["seen"]


@pytest.mark.parametrize(("client", "host"), CELLS)
def test_loopback_is_rejected_without_the_fixture(client: str, host: str, listeners: Listeners, tmp_path: Path) -> None:
    """The violation surfaces, or is in the journal where the client loses it; nothing arrived."""
    told = drive("guarded", listeners, tmp_path)[client, host]
    assert told["seen"] == []
    assert told["type"] is not None
    assert {reason for _, _, reason in told["journal"]} == {"loopback"}
    if client not in DISCARDS:
        assert told["reason"] == "loopback"
        assert told["unwrapped"] or client in WRAPS


@pytest.mark.parametrize(("client", "host"), [cell for cell in CELLS if cell[0] not in OTHER_THREADS])
def test_the_fixture_lets_the_client_reach_loopback(
    client: str, host: str, listeners: Listeners, tmp_path: Path
) -> None:
    """The same calls with `egress_test_loopback`, from the test's own thread."""
    told = drive("fixture", listeners, tmp_path)[client, host]
    assert told["type"] is None, told["text"]
    assert told["seen"]


@pytest.mark.parametrize(("client", "host"), [cell for cell in CELLS if cell[0] in OTHER_THREADS])
def test_the_fixture_does_not_reach_into_other_threads(
    client: str, host: str, listeners: Listeners, tmp_path: Path
) -> None:
    """The flag belongs to the thread that requested the fixture."""
    told = drive("fixture", listeners, tmp_path)[client, host]
    assert (told["violation"], told["seen"]) == (True, [])


def forbidden() -> Table:
    """Run all clients at the forbidden hosts in one guarded child process."""
    if "forbidden" not in cache:
        cells = [[name, host, FORBIDDEN_PORT] for name in CLIENTS for host in FORBIDDEN]
        told = children.python(DRIVER, "guarded", json.dumps(cells)).told()
        cache["forbidden"] = attach_arrivals(told, {})
    return cache["forbidden"]


@pytest.mark.parametrize("host", FORBIDDEN)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_forbidden_host_is_refused(client: str, host: str) -> None:
    """`tests/lab` shows on a wire that nothing leaves; here every client is shown to meet the refusal."""
    told = forbidden()[client, host]
    reason = "port" if host == "api.anthropic.com" else "not-listed"
    assert told["type"] is not None
    assert [host, FORBIDDEN_PORT, reason] in told["journal"]
    if client not in DISCARDS:
        assert told["reason"] == reason
        assert told["unwrapped"] or client in WRAPS


def test_the_clients_that_lose_a_violation_are_the_listed_ones(listeners: Listeners, tmp_path: Path) -> None:
    """The list in the documents is this set: a client that stops or starts losing it must be noticed."""
    table = {**drive("guarded", listeners, tmp_path), **forbidden()}
    lost = {client for (client, _), told in table.items() if not told["violation"]}
    wrapped = {client for (client, _), told in table.items() if not told.get("unwrapped", True)}
    assert (lost, wrapped) == (DISCARDS, WRAPS)


def test_gevent_with_the_standard_library_patched(listener: Endpoint) -> None:
    """gevent puts its own functions over `socket` and `ssl`; they end in the same `_socket`."""
    source = """
        import gevent.monkey
        gevent.monkey.patch_all()
        import sys, egressguard
        from clients import CLIENTS
        from inside import tell, word
        port = int(sys.argv[1])
        before = word(lambda: CLIENTS["urllib.request"]("localhost", port))
        egressguard.install()
        tell([before, *(word(lambda: CLIENTS[name]("localhost", port))
                        for name in ("socket.connect", "http.client", "urllib.request", "requests", "socket.sendto"))])
    """
    assert children.python(source, listener.port).last() == ["done"] + ["loopback"] * 5
    assert listener.seen() == ["tcp"]


def test_pytest_httpserver_is_reached_with_the_fixture(httpserver: Any, egress_test_loopback: None) -> None:
    """A real server of a test library: its thread only accepts, the test's thread dials."""
    httpserver.expect_request("/").respond_with_data("served")
    assert CLIENTS["requests"]("127.0.0.1", httpserver.port) == b"served"


def test_pytest_httpserver_is_refused_without_the_fixture(httpserver: Any) -> None:
    """The server runs all the same, and logs no request."""
    with pytest.raises(egressguard.EgressViolation, match="egress_test_loopback"):
        CLIENTS["socket.connect"]("127.0.0.1", httpserver.port)
    assert httpserver.log == []
