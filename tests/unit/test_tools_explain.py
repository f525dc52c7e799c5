"""`egressguard explain`, `egressguard lint` and `egressguard.explain`: the verdict in words, nothing asked or dialled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import children
import pytest

import egressguard


def command(*arguments: object) -> children.Child:
    """Run the command egressguard."""
    return children.start([sys.executable, "-P", "-m", "egressguard.cli", *map(str, arguments)])


def test_the_default_list_is_explained() -> None:
    child = command("explain", "api.anthropic.com:443")
    assert (child.code, child.out) == (0, "api.anthropic.com:443: allowed by entry api.anthropic.com:443\n")


@pytest.mark.parametrize(
    ("endpoint", "allow", "entry"),
    [
        ("a.b.example:443", "*.example:443", "*.example:443"),
        ("A.example.:443", "a.example:400-500", "a.example:400-500"),
        ("203.0.113.9:80", "203.0.113.0/24:80", "203.0.113.0/24:80"),
        ("[2001:db8::9]:80", "[2001:db8::/32]:*", "[2001:db8::/32]:*"),
        ("unix:/run/x", "unix:/run/x", "unix:/run/x"),
    ],
)
def test_the_entry_that_allows_is_named(endpoint: str, allow: str, entry: str) -> None:
    answer = egressguard.explain(endpoint, ("other.example:1", allow))
    assert (answer["allowed"], answer["entry"], answer["next_step"]) == (True, entry, None)


@pytest.mark.parametrize(
    ("endpoint", "reason", "step"),
    [
        ("evil.example:443", "not-listed", 'add "evil.example:443"'),
        ("api.anthropic.com:80", "port", 'add "api.anthropic.com:80"'),
        ("127.0.0.1:443", "loopback", "the fixture egress_test_loopback"),
        ("127.1:443", "loopback", "the fixture egress_test_loopback"),
        ("localhost:443", "loopback", "the fixture egress_test_loopback"),
        ("0.0.0.0:443", "unspecified", "the fixture egress_test_loopback"),
        ("[::ffff:127.0.0.1]:443", "loopback", "the fixture egress_test_loopback"),
        ("[64:ff9b::7f00:1]:443", "embedded", "there is no entry that opens this"),
        ("unix:/run/x", "unix", 'add "unix:/run/x"'),
    ],
)
def test_a_refusal_says_why_and_what_next(endpoint: str, reason: str, step: str) -> None:
    child = command("explain", endpoint)
    assert child.code == 1
    assert child.out.startswith(f"{endpoint}: refused ({reason}): ")
    assert step in child.out


def test_one_refusal_of_several_is_status_1_and_json_tells_each() -> None:
    child = command("explain", "--json", "--allow", "a.example:443", "a.example:443", "b.example:443")
    assert child.code == 1
    assert [one["allowed"] for one in json.loads(child.out)] == [True, False]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["a.example:443", "--allow", "127.0.0.1:1"], ["a:1", "--allow-file", "/missing"]]
)
def test_what_cannot_be_read_is_status_2(arguments: list[str]) -> None:
    child = command("explain", *arguments)
    assert (child.code, child.out) == (2, "")
    assert child.err.startswith("egressguard explain: ")


@pytest.mark.parametrize("endpoint", ["203.0.113.53:53", "[2001:db8::53]:53"])
def test_no_entry_is_proposed_that_would_open_every_dns_question(endpoint: str) -> None:
    step = egressguard.explain(endpoint, ())["next_step"]
    assert step.startswith("lookups of listed names need no entry")
    assert "add" not in step.split()
    assert egressguard.explain(endpoint.replace(":53", ":54"), ())["next_step"].startswith("add ")
    assert egressguard.explain("a.example:53", ())["next_step"].startswith("add ")


def test_it_is_the_verdict_of_the_guard(tmp_path: Path) -> None:
    """What explain says is what a guarded process meets, endpoint by endpoint."""
    source = """
import socket, sys, json, egressguard
from inside import tell
allow = ("203.0.113.0/24:8080", "*.listed.example:443")
endpoints = [("203.0.113.5", 8081), ("198.51.100.1", 8080), ("127.0.0.1", 8080), ("0.0.0.0", 8080), ("x.example", 443),
             ("listed.example", 443), ("a.listed.example", 80)]
explained = [egressguard.explain(f"{host}:{port}", allow)["reason"] for host, port in endpoints]
egressguard.install(allow)
met = []
for host, port in endpoints:
    try:
        socket.create_connection((host, port), timeout=1)
    except egressguard.EgressViolation as error:
        met.append(error.reason)
tell([explained, met])
"""
    explained, met = children.python(source).last()
    assert explained == met == ["port", "not-listed", "loopback", "unspecified", "not-listed", "not-listed", "port"]


# ---- lint ----


def lint(folder: Path, text: str) -> children.Child:
    """Lint a file of this text."""
    file = folder / "allowlist"
    file.write_text(text)
    child = command("lint", file)
    return child._replace(out=child.out.replace(str(file), "FILE"))


def test_a_good_file_is_good(tmp_path: Path) -> None:
    child = lint(tmp_path, "# ours\napi.anthropic.com:443  # the model\n\n  *.internal.example:8000-8010\n")
    assert (child.code, child.out) == (0, "FILE: 2 entries are good, 0 are bad\n")


def test_every_bad_line_is_told_with_its_number(tmp_path: Path) -> None:
    child = lint(tmp_path, "127.0.0.1:80\na.example:443\nhttps://b.example\n")
    assert child.code == 1
    first, second, last = child.out.splitlines()
    assert first.startswith("FILE:1: error: allowlist entry '127.0.0.1:80': ")
    assert second.startswith("FILE:3: error: allowlist entry 'https://b.example': ")
    assert last == "FILE: 1 entries are good, 2 are bad"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("a.example:443\nA.example.:443\n", "FILE:2: warning: A.example.:443 stands in line 1 already"),
        ("a.b.example:443\n*.example:443\n", "FILE:1: warning: a.b.example:443 is covered by *.example:443"),
        ("203.0.113.7:443\n203.0.113.0/24:443\n", "FILE:1: warning: 203.0.113.7:443 is covered by 203.0.113.0/24:443"),
        ("a.example:*\n", "FILE:1: warning: a.example:* opens every port of its host"),
        (
            "203.0.113.53:53\n",
            "FILE:1: warning: 203.0.113.53:53 opens every DNS question to it; lookups of listed names need no entry",
        ),
        ("10.0.0.0/8:443\n", "FILE:1: warning: 10.0.0.0/8:443 opens 16,777,216 addresses"),
    ],
)
def test_what_is_unwise_is_a_warning_and_status_0(tmp_path: Path, text: str, warning: str) -> None:
    child = lint(tmp_path, text)
    assert child.code == 0
    assert warning in child.out.splitlines()


def test_a_missing_file_is_status_2(tmp_path: Path) -> None:
    child = command("lint", tmp_path / "missing")
    assert child.code == 2
    assert "No such file" in child.err


def test_a_file_that_is_no_text_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert command("lint", tmp_path / "binary").code == 2


def test_read_allowlist_reads_the_same_and_names_each_bad_line(tmp_path: Path) -> None:
    file = tmp_path / "allowlist"
    file.write_text("# x\na.example:443 # y\n\n*.b.example:1-2\n")
    assert egressguard.read_allowlist(file) == ("a.example:443", "*.b.example:1-2")
    file.write_text("a.example\nb.example\n")
    with pytest.raises(ValueError, match=r"allowlist:1: .*\n.*allowlist:2: "):
        egressguard.read_allowlist(file)
