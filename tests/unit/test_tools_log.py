"""The log of refusals: what it repeats, and that making a line imports nothing."""

from __future__ import annotations

from pathlib import Path

import children
import pytest

PRELUDE = """
import contextlib, logging, os, socket, sys
import egressguard
from inside import tell
lines = []
class Handler(logging.Handler):
    def emit(self, record):
        lines.append((record.egress["endpoint"], record.egress_times, record.getMessage()))
log = logging.getLogger("egressguard")
log.addHandler(Handler())
log.propagate = False
def dial(host="127.0.0.1", port=9):
    with contextlib.suppress(egressguard.EgressViolation):
        with socket.socket() as one:
            one.connect((host, port))
"""
INSTALL = "egressguard.install()\n"


def test_the_same_refusal_is_logged_at_doubling_counts(tmp_path: Path) -> None:
    source = """
egressguard.journal_to(sys.argv[1])
for _ in range(100):
    dial()
tell([times for _, times, _ in lines])
tell([lines[0][2].endswith("(connect)"), lines[1][2].endswith("(connect); 2 times so far")])
tell(egressguard.violation_count())
"""
    journal = tmp_path / "journal"
    times, texts, count = children.python(PRELUDE + INSTALL + source, journal).told()
    assert times == [1, 2, 4, 8, 16, 32, 64]
    assert texts == [True, True]
    assert count == 100
    assert len(journal.read_text().splitlines()) == 100


def test_another_host_port_route_reason_or_line_is_another_refusal() -> None:
    source = """
def look_up(port):
    with contextlib.suppress(egressguard.EgressViolation):
        socket.getaddrinfo("api.anthropic.com", port)
for _ in range(3):
    dial(); dial(port=10); dial("127.0.0.2"); dial("203.0.113.1"); look_up(9)
    dial()
tell(sorted(lines))
"""
    told = children.python(PRELUDE + INSTALL + source).last()
    seen = {(endpoint, times) for endpoint, times, _ in told}
    # The two calls of `dial()` stand in different lines, and share the line in `dial` that connects.
    assert seen == {
        *(("127.0.0.1:9", times) for times in (1, 2, 4)),
        *((endpoint, times) for endpoint in ("127.0.0.1:10", "127.0.0.2:9", "203.0.113.1:9") for times in (1, 2)),
        *(("api.anthropic.com:9", times) for times in (1, 2)),
    }


def test_a_forked_child_logs_its_own() -> None:
    source = """
for _ in range(3):
    dial()
pid = os.fork()
if pid == 0:
    lines.clear()
    dial()
    tell([times for _, times, _ in lines])
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert children.python(PRELUDE + INSTALL + source).last() == [1]


def test_what_was_only_observed_is_logged_again_when_it_is_refused() -> None:
    source = """
with contextlib.suppress(OSError):
    for _ in range(3):
        dial()
egressguard.observe()
for _ in range(3):
    with contextlib.suppress(OSError):
        dial()
egressguard.install()
dial()
tell([times for _, times, _ in lines])
"""
    assert children.python(PRELUDE + source).last() == [1, 2, 1]


def test_ever_new_hosts_are_all_logged_in_bounded_memory() -> None:
    source = """
from egressguard import _report
for number in range(3 * _report.TOLD_MAX):
    dial(f"203.0.{number >> 8}.{number & 255}")
tell([len(lines), len(_report._told) <= _report.TOLD_MAX, 3 * _report.TOLD_MAX])
"""
    count, bounded, wanted = children.python(PRELUDE + INSTALL + source).last()
    assert count == wanted
    assert bounded


@pytest.mark.parametrize("forked", [False, True])
def test_a_line_is_made_without_any_import(tmp_path: Path, forked: bool) -> None:
    """A forked child may find any import lock held for ever, and Temporal's sandbox answers for each import."""
    (tmp_path / "telemetry.py").write_text("import socket\ndef send(one):\n    one.connect(('127.0.0.1', 9))\n")
    (tmp_path / "telemetry_of_mine-1.0.dist-info").mkdir()
    (tmp_path / "telemetry_of_mine-1.0.dist-info" / "RECORD").write_text("telemetry.py,,\n")
    source = """
sys.path.insert(0, sys.argv[1])
import telemetry
egressguard.journal_to(sys.argv[2])
before = set(sys.modules)
def no_import(name, *rest):
    raise AssertionError(f"imports {name}")
import builtins
builtins.__import__, kept = no_import, builtins.__import__
try:
    import colorsys
except AssertionError:
    told = ["an import is noticed"]
forked = sys.argv[3] == "True"
pid = os.fork() if forked else 0
if pid == 0:
    with contextlib.suppress(egressguard.EgressViolation):
        telemetry.send(socket.socket())
    builtins.__import__ = kept
    told += [sorted(set(sys.modules) - before), lines[0][2].split(" (called")[0]]
    tell(told)
    sys.stderr.flush()
    os._exit(0)
os.waitpid(pid, 0)
"""
    child = children.python(PRELUDE + INSTALL + source, tmp_path, tmp_path / "journal", forked)
    assert child.last() == ["an import is noticed", [], "telemetry-of-mine 1.0"]
    assert child.err == ""
    assert len((tmp_path / "journal").read_text().splitlines()) == 1


def test_a_refusal_of_the_applications_own_line_reads_no_metadata(tmp_path: Path) -> None:
    """`importlib.metadata` took 0.6 s in an environment of 180 packages, in the thread that was refused."""
    packages = tmp_path / "site-packages"
    for number in range(20):
        folder = packages / f"package_{number}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "RECORD").write_text(f"package_{number}/__init__.py,,\n")
    (packages / "named_alike").mkdir()
    (packages / "named_alike" / "__init__.py").write_text("def send(one):\n    one.connect(('127.0.0.1', 9))\n")
    (packages / "Named.Alike-2.0.dist-info").mkdir()
    source = """
sys.path.insert(0, sys.argv[1])
import named_alike
opened = []
def hook(event, arguments):
    if event == "open" and "dist-info" in str(arguments[0]):
        opened.append(arguments[0])
sys.addaudithook(hook)
dial()
with contextlib.suppress(egressguard.EgressViolation):
    named_alike.send(socket.socket())
tell([opened, [line[2].split(" ")[0] for line in lines], "importlib.metadata" in sys.modules])
"""
    opened, who, loaded = children.python(PRELUDE + INSTALL + source, packages).last()
    assert opened == []
    assert who[1] == "named-alike"
    assert not loaded


def test_an_old_installers_metadata_names_the_distribution(tmp_path: Path) -> None:
    (tmp_path / "importable.py").write_text("def send(one):\n    one.connect(('127.0.0.1', 9))\n")
    (tmp_path / "Of_Old-3.1-py3.11.egg-info").mkdir()
    (tmp_path / "Of_Old-3.1-py3.11.egg-info" / "top_level.txt").write_text("importable\n")
    (tmp_path / "develop.py").write_text("def send(one):\n    one.connect(('127.0.0.1', 9))\n")
    (tmp_path / "Develop.egg-info").mkdir()
    (tmp_path / "Develop.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: Develop\nVersion: 0.4\n")
    source = """
sys.path.insert(0, sys.argv[1])
import importable, develop
for module in (importable, develop):
    with contextlib.suppress(egressguard.EgressViolation):
        module.send(socket.socket())
tell([one.distribution for one in egressguard.violations()])
"""
    assert children.python(PRELUDE + INSTALL + source, tmp_path).last() == ["of-old 3.1", "develop 0.4"]


def test_the_package_brings_nothing_but_itself() -> None:
    """What a line needs is loaded with the package, so that must be little: `typing` alone costs more than all of it."""
    source = "import socket, logging, sys\n{}\nloaded = sorted(sys.modules)\nfrom inside import tell\ntell(loaded)"
    without = children.python(source.format("")).last()
    loaded = children.python(source.format("import egressguard; egressguard.install()")).last()
    brought = set(loaded) - set(without) - {"__future__"}
    assert "egressguard._violations" in brought
    assert {name for name in brought if name.partition(".")[0] != "egressguard"} == set()


def test_a_file_or_a_thread_cannot_begin_a_line() -> None:
    """Generated code is named by what generates it, and a thread by whoever starts it."""
    source = """
import threading
code = compile("one.connect(('127.0.0.1', 9))", "a.py\\nCRITICAL all is well\\x9b2J", "exec")
def generated():
    with socket.socket() as one, contextlib.suppress(egressguard.EgressViolation):
        exec(code, {"one": one})
thread = threading.Thread(target=generated, name="b\\nCRITICAL too\\u202e")
thread.start()
thread.join()
tell([lines[0][2].isprintable(), "all is well" in lines[0][2], "CRITICAL too" in lines[0][2]])
"""
    assert children.python(PRELUDE + INSTALL + source).last() == [True] * 3


def test_generated_files_use_no_more_and_more_memory() -> None:
    """Whatever is remembered of files is bounded."""
    source = """
from egressguard import _distributions
folder = next(path for path in sys.path if path)
for number in range(3000):
    _distributions.of_file(f"{folder}/generated/part{number}.py")
tell(_distributions.of_file.cache_info().currsize)
"""
    assert children.python(PRELUDE + source).last() <= 1024
