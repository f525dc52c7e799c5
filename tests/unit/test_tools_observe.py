"""Observing, and what `egressguard suggest` makes of it. Every dial is to this machine or to a name of /etc/hosts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import children
import pytest

PRELUDE = """
import contextlib, os, sys, socket
import egressguard
from inside import tell
"""
BASE: dict[str, Any] = {
    "schema": "egressguard.journal/1",
    "machine": "one",
    "pid": 1,
    "wall_ns": 1_700_000_000_000_000_000,
    "route": "getaddrinfo",
    "reason": "not-listed",
    "distribution": "requests 2.34",
    "site": "yourpkg/telemetry.py:41",
}


def command(*arguments: object) -> children.Child:
    """Run the command egressguard."""
    return children.start([sys.executable, "-P", "-m", "egressguard.cli", *map(str, arguments)])


def journal(folder: Path, *records: dict[str, Any], name: str = "journal") -> Path:
    """Write a journal; `endpoint` is made from host and port where it is not given."""
    path = folder / name
    lines = []
    for record in records:
        whole = {**BASE, "port": 443, **record}
        bare = f"[{whole['host']}]" if whole["host"].count(":") > 1 else whole["host"]
        whole.setdefault("endpoint", bare if whole["port"] is None else f"{bare}:{whole['port']}")
        lines.append(json.dumps(whole))
    path.write_text("\n".join(lines) + "\n")
    return path


def entries(out: str) -> list[str]:
    """Return the entries of a suggested file."""
    return [line.partition("#")[0].strip() for line in out.splitlines() if not line.startswith("#")]


# ---- observe() ----


def test_it_lets_through_and_records() -> None:
    source = """
server = socket.create_server(("127.0.0.1", 0))
egressguard.observe()
socket.create_connection(server.getsockname()).close()
server.accept()
[one] = egressguard.violations()
tell([one.endpoint == "127.0.0.1:%d" % server.getsockname()[1], one.observed, one.reason, str(one).split(": ")[1]])
"""
    assert children.python(PRELUDE + source).last() == [
        True,
        True,
        "loopback",
        "let through, would be refused, loopback (connect)",
    ]


def test_it_is_loud_at_the_beginning_and_at_the_end() -> None:
    source = """
egressguard.observe()
os.close(os.dup(2))
sys.stderr = None
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9))
"""
    child = children.python(PRELUDE + source)
    first, *_, last = child.err.splitlines()
    assert first == "egressguard: OBSERVING ONLY, nothing is refused. End it with egressguard.install()."
    assert last == "egressguard: OBSERVED ONLY: 1 attempts would have been refused: 127.0.0.1:9"


def test_the_posture_says_it() -> None:
    source = """
egressguard.observe()
state = egressguard.posture()
tell([state["mode"], state["installed"], any(route["enforced"] for route in state["routes"].values())])
egressguard.install()
tell([egressguard.posture()["mode"], egressguard.posture()["installed"]])
"""
    assert children.python(PRELUDE + source).told() == [["observing", False, False], ["enforcing", True]]


def test_install_ends_it_and_it_cannot_follow() -> None:
    source = """
egressguard.observe()
egressguard.install()
try:
    socket.create_connection(("127.0.0.1", 9))
except egressguard.EgressViolation as error:
    tell(error.reason)
try:
    egressguard.observe()
except RuntimeError as error:
    tell(str(error))
"""
    reason, text = children.python(PRELUDE + source).told()
    assert reason == "loopback"
    assert "install() was called already" in text


def test_it_takes_the_capability_away_as_install_does() -> None:
    source = """
egressguard.observe()
tell([egressguard.posture()["capability"], hasattr(egressguard._egressguard, "_set_test_" + "loopback")])
"""
    assert children.python(PRELUDE + source).last() == ["gone", False]


def test_the_same_attempt_is_logged_at_doubling_counts() -> None:
    source = """
egressguard.observe()
for _ in range(100):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9))
tell(egressguard.violation_count())
"""
    child = children.python(PRELUDE + source)
    assert child.last() == 100
    assert child.err.count("tried 127.0.0.1:9") == 7  # the 1st, 2nd, 4th, ... 64th


def test_a_bad_list_is_an_error_and_observes_nothing() -> None:
    source = """
try:
    egressguard.observe(allow=("127.0.0.1:80",))
except ValueError as error:
    tell(str(error))
tell(egressguard.posture()["mode"])
"""
    text, mode = children.python(PRELUDE + source).told()
    assert "127.0.0.1:80" in text
    assert mode == "off"


# ---- suggest ----


def test_it_suggests_what_was_seen_with_who_and_where(tmp_path: Path) -> None:
    path = journal(
        tmp_path,
        {"host": "posthog.example"},
        {"host": "posthog.example", "distribution": None, "site": "yourpkg/app.py:1"},
        {"host": "API.anthropic.com."},
    )
    child = command("suggest", path)
    assert child.code == 0
    assert entries(child.out) == ["api.anthropic.com:443", "posthog.example:443"]
    [line] = [line for line in child.out.splitlines() if line.startswith("posthog")]
    assert "# 2 times, requests 2.34, the application (yourpkg/telemetry.py:41, yourpkg/app.py:1)" in line


def test_the_suggestion_is_an_allowlist_file(tmp_path: Path) -> None:
    path = journal(
        tmp_path, {"host": "posthog.example"}, {"host": "10.1.2.3"}, {"host": "127.0.0.1", "reason": "loopback"}
    )
    suggested = tmp_path / "allowlist"
    suggested.write_text(command("suggest", path).out)
    import egressguard

    assert egressguard.read_allowlist(suggested) == ("posthog.example:443",)


def test_ports_of_a_name_are_merged_and_nothing_is_widened(tmp_path: Path) -> None:
    path = journal(tmp_path, *({"host": "a.example", "port": port} for port in (8002, 8000, 8001, 443)))
    assert entries(command("suggest", path).out) == ["a.example:443", "a.example:8000-8002"]


def test_several_journals_count_together(tmp_path: Path) -> None:
    one = journal(tmp_path, {"host": "a.example"}, name="one")
    two = journal(tmp_path, {"host": "a.example", "pid": 2}, name="two")
    told = json.loads(command("suggest", "--json", one, two).out)
    assert (told["records"], told["processes"]) == (2, 2)
    assert told["entries"]["a.example:443"][0]["count"] == 2


def test_what_a_list_opens_already_is_left_out(tmp_path: Path) -> None:
    path = journal(tmp_path, {"host": "a.example"}, {"host": "b.example"})
    assert entries(command("suggest", "--allow", "*.example:443", path).out) == []
    assert entries(command("suggest", "--allow", "a.example:443", path).out) == ["b.example:443"]


def test_a_lookup_without_a_port_joins_the_dial_that_names_one(tmp_path: Path) -> None:
    path = journal(tmp_path, {"host": "A.example.", "port": None}, {"host": "a.example"})
    assert entries(command("suggest", path).out) == ["a.example:443"]


def test_a_name_that_was_only_looked_up_waits_for_its_port(tmp_path: Path) -> None:
    """Nobody can know the port: the line is there, and is no entry before a person has chosen."""
    path = journal(tmp_path, *({"host": host, "port": None} for host in ("b.example", "B.example.", "c.example")))
    child = command("suggest", path)
    line = next(line for line in child.out.splitlines() if "b.example" in line)
    assert line == (
        "# b.example:PORT  # choose the port and remove the first #: it was looked up without one, "
        "2 times, requests 2.34 (yourpkg/telemetry.py:41)"
    )
    assert "b.example was looked up without a port: choose it" in child.err
    [b, c] = json.loads(command("suggest", "--json", path).out)["choose_port"]
    assert (b["endpoint"], b["count"], c["endpoint"], c["count"]) == ("b.example", 2, "c.example", 1)

    import egressguard

    suggested = tmp_path / "allowlist"
    suggested.write_text(child.out)
    assert egressguard.read_allowlist(suggested) == ()
    suggested.write_text(line.removeprefix("# ").replace("PORT", "8443"))
    assert egressguard.read_allowlist(suggested) == ("b.example:8443",)


def test_a_listed_name_may_be_looked_up_without_a_port(tmp_path: Path) -> None:
    path = journal(tmp_path, {"host": "b.example", "port": None})
    for covering in ("b.example:8443", "*.example:1-99", "b.example:*"):
        assert "b.example" not in command("suggest", "--allow", covering, path).out
    assert "b.example:PORT" in command("suggest", "--allow", "c.example:443", "--allow", "unix:/b", path).out


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"host": "127.0.0.1", "port": 80, "reason": "loopback"}, "this machine"),
        ({"host": "0.0.0.0", "port": 80, "reason": "unspecified"}, "this machine"),
        ({"host": "192.0.2.5", "port": 80, "reason": "own-address"}, "this machine"),
        ({"host": "169.254.169.254", "port": 80}, "cloud metadata"),
        ({"host": "::ffff:169.254.169.254", "port": 80}, "cloud metadata"),
        ({"host": "fd00:ec2::254", "port": 80}, "cloud metadata"),
        ({"host": "Metadata.google.internal.", "port": 80}, "cloud metadata"),
        ({"host": "203.0.113.7"}, "a bare address"),
        ({"host": "2001:db8::7"}, "a bare address"),
        ({"host": "unix:/var/run/docker.sock", "port": None, "reason": "unix"}, "controls this machine"),
        ({"host": "a.example", "reason": "resolved"}, "no entry opens it (resolved)"),
        ({"host": "a b.example"}, "contains a space"),
    ],
)
def test_what_a_person_must_decide_is_not_suggested(tmp_path: Path, record: dict[str, Any], why: str) -> None:
    child = command("suggest", journal(tmp_path, record))
    assert entries(child.out) == []
    assert why in child.err
    assert f"# NOT suggested: {'' if ' ' in record['host'] else record['host'].strip()[:3]}" in child.out.replace(
        "[", ""
    )


def test_a_unix_socket_is_suggested(tmp_path: Path) -> None:
    path = journal(tmp_path, {"host": "unix:/run/app/api.sock", "port": None, "reason": "unix"})
    assert entries(command("suggest", path).out) == ["unix:/run/app/api.sock"]


def test_other_peoples_text_cannot_leave_its_comment(tmp_path: Path) -> None:
    path = journal(tmp_path, {"host": "a.example", "distribution": "x\nevil.example:443", "site": "\x1b[31m"})
    out = command("suggest", path).out
    assert entries(out) == ["a.example:443"]
    assert "\x1b" not in out


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = journal(tmp_path, {"host": "a.example"})
    path.write_text(path.read_text() + "nonsense\n" + json.dumps({**BASE, "host": 1}) + "\n")
    child = command("suggest", path)
    assert entries(child.out) == ["a.example:443"]
    assert "2 lines could not be read" in child.err


def test_a_missing_journal_is_status_2(tmp_path: Path) -> None:
    child = command("suggest", tmp_path / "missing")
    assert (child.code, child.out) == (2, "")


def test_from_observing_to_enforcing(tmp_path: Path, own_network: None) -> None:
    """The whole way: observe, suggest, enforce the suggestion; in a network of its own."""
    observed = """
import contextlib, socket, sys, egressguard
server = socket.create_server(("198.51.100.1", 8443))
egressguard.observe(allow=())
egressguard.journal_to(sys.argv[1])
with contextlib.suppress(OSError):
    socket.getaddrinfo("service.example", 8443)   # nobody answers in this network
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9))
"""
    path = tmp_path / "journal"
    assert children.python_alone(observed, path, addresses=["198.51.100.1/32"]).code == 0
    child = command("suggest", path)
    assert entries(child.out) == ["service.example:8443"]
    assert "127.0.0.1:9 is not suggested" in child.err
