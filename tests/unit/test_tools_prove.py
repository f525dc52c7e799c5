"""`egressguard prove`: the matrix is what listeners saw, and its exit status can be trusted."""

from __future__ import annotations

import json
import sys
from typing import Any

import children
import pytest

from egressguard import _prove, _prove_routes
from egressguard._prove import Attempt, Result

MODULE = [sys.executable, "-P", "-m", "egressguard.cli"]
# Every route of issue: the entry points of the extension, each under at least one name of the matrix.
ENTRY_POINTS = {
    "connect": "connect",
    "connect_ex": "connect_ex",
    "sendto": "sendto",
    "sendmsg": "sendmsg",
    "bind": "bind to a name",
    "setsockopt": "setsockopt IP_OPTIONS",
    "getaddrinfo": "getaddrinfo",
    "gethostbyname": "gethostbyname",
    "gethostbyname_ex": "gethostbyname_ex",
    "gethostbyaddr": "gethostbyaddr",
    "getnameinfo": "getnameinfo",
}


def prove(*arguments: str, source: str | None = None) -> children.Child:
    """Run the proof; with source, in an interpreter that runs it first."""
    if source is None:
        return children.start([*MODULE, "prove", *arguments], seconds=300)
    code = f"import sys\n{source}\nfrom egressguard import cli\nsys.exit(cli.main(['prove', *sys.argv[1:]]))"
    return children.start([sys.executable, "-P", "-c", code, *arguments], seconds=300)


@pytest.fixture(scope="module")
def proven() -> dict[str, dict[str, Any]]:
    """Return the rows of the Python layer's proof, by route."""
    child = prove("--layer", "python", "--json")
    report = json.loads(child.out)
    assert (child.code, report["status"]) == (0, 0), child.out
    return {row["route"]: row for row in report["routes"]}


def test_every_route_of_the_python_layer_is_stopped_by_it(proven: dict[str, dict[str, Any]]) -> None:
    assert {row["verdict"] for row in proven.values()} <= {"stopped", "absent"}
    assert {row["by"] for row in proven.values() if row["verdict"] == "stopped"} == {"python"}


def test_every_route_works_here_without_the_guard(proven: dict[str, dict[str, Any]]) -> None:
    """Otherwise nothing was proven. Where a lookup would ask a name server, it is not tried."""
    for name, row in proven.items():
        asks = row["unguarded_detail"].startswith("not tried")
        assert row["works_unguarded"] is True or asks or row["verdict"] == "absent", name


def test_every_entry_point_of_the_extension_is_tried(proven: dict[str, dict[str, Any]]) -> None:
    import egressguard

    assert set(ENTRY_POINTS) == set(egressguard.posture()["routes"])
    assert set(ENTRY_POINTS.values()) <= set(proven)


def test_the_matrix_is_plain_in_a_pipe() -> None:
    child = prove("--layer", "python")
    assert child.code == 0
    lines = child.out.splitlines()
    assert lines[0].split() == ["route", "without", "the", "guard", "with", "it", "by"]
    assert lines[-1].endswith("not on this machine")
    assert "\x1b" not in child.out


def test_a_guard_that_guards_nothing_is_found() -> None:
    """The children of this proof have an install() that does nothing: everything gets through, and it says so."""
    source = """
import os, tempfile
folder = tempfile.mkdtemp()
open(os.path.join(folder, "sitecustomize.py"), "w").write('''
import egressguard
egressguard.install = lambda allow=None: None
egressguard.install_kernel = lambda: None
''')
os.environ["PYTHONPATH"] = folder + os.pathsep + os.environ.get("PYTHONPATH", "")
"""
    child = prove("--layer", "python", "--json", source=source)
    report = json.loads(child.out)
    assert (child.code, report["status"]) == (1, 1)
    for row in report["routes"]:
        assert row["verdict"] != "stopped"
    assert sum(row["verdict"] == "through" for row in report["routes"]) > 20


def test_a_guard_that_cannot_be_installed_is_not_shown() -> None:
    source = """
import os, tempfile
folder = tempfile.mkdtemp()
open(os.path.join(folder, "sitecustomize.py"), "w").write('''
import egressguard
def install(allow=None): raise RuntimeError("no")
egressguard.install = install
''')
os.environ["PYTHONPATH"] = folder + os.pathsep + os.environ.get("PYTHONPATH", "")
"""
    child = prove("--layer", "python", source=source)
    assert child.code == 2
    assert "NOT SHOWN" in child.out
    assert " 0 stopped, 0 got through" in child.out


def test_the_kernel_layers_routes_are_stopped_where_it_can_be_had() -> None:
    child = prove("--layer", "kernel", "--json")
    rows = json.loads(child.out)["routes"]
    source = "import egressguard\negressguard.install()\negressguard.install_kernel()"
    if children.python(source).code:
        assert child.code == 1  # native code gets through, and the proof says so
        return
    assert child.code == 0, child.out
    assert {row["by"] for row in rows if row["verdict"] == "stopped"} == {"kernel"}


def test_it_is_the_same_from_the_self_check() -> None:
    one = children.start([*MODULE, "self-check", "--prove", "--json"], seconds=300)
    assert {row["route"] for row in json.loads(one.out)["routes"]} == set(_prove_routes.ROUTES)


def test_codegenie_proves_too() -> None:
    pytest.importorskip("egressguard_codegenie")
    code = """
import sys, egressguard_codegenie
from egressguard import _prove
_prove.prove = lambda layer: []
sys.exit(egressguard_codegenie.main(sys.argv[1:]))
"""
    child = children.start([sys.executable, "-P", "-c", code, "self-check", "egress", "--prove", "--json"])
    assert (child.code, json.loads(child.out)["routes"]) == (2, [])  # nothing was tried, so nothing was shown


def test_nothing_but_loopback_is_dialled(own_network: None) -> None:
    """In a network of its own, where nothing else can be reached, the result is the same."""
    source = "import sys\nfrom egressguard import cli\nsys.exit(cli.main(['prove', '--layer', 'python']))"
    assert children.python_alone(source).code == 0


ARRIVED = Attempt("arrived", "", None)
STOPPED = Attempt("nothing arrived", "", "python")
UNSEEN = Attempt("nothing arrived", "", None)
ABSENT = Attempt("absent", "no IPv6 loopback", None)
BROKEN = Attempt("broken", "", None)


@pytest.mark.parametrize(
    ("unguarded", "guarded", "verdict", "status"),
    [
        (ARRIVED, STOPPED, "stopped", 0),
        (ARRIVED, ARRIVED, "through", 1),
        (BROKEN, ARRIVED, "through", 1),
        (ARRIVED, UNSEEN, "not shown", 2),  # something else stopped it
        (UNSEEN, STOPPED, "not shown", 2),  # it does not work here anyway
        (ARRIVED, BROKEN, "not shown", 2),
        (BROKEN, STOPPED, "not shown", 2),
        (ABSENT, STOPPED, "stopped", 0),
        (ABSENT, ABSENT, "absent", 2),  # nothing at all was shown
        (ABSENT, UNSEEN, "absent", 2),
    ],
)
def test_the_verdict_and_the_status(unguarded: Attempt, guarded: Attempt, verdict: str, status: int) -> None:
    result = Result(_prove_routes.ROUTES["connect"], unguarded, guarded)
    assert result.verdict == verdict
    assert _prove.status_of([result]) == status
