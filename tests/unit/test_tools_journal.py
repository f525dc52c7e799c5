"""Journal files: one JSON object a line, from many processes, over a full disk; and the same fields in the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import children
import pytest

PRELUDE = """
import contextlib, os, sys, socket, threading
import egressguard
from inside import tell
egressguard.install()
def swallow(host="posthog.example", port=443):
    with contextlib.suppress(Exception):
        socket.create_connection((host, port))
"""
FIELDS = [
    "schema", "time", "endpoint", "distribution", "site", "thread_name", "command", "machine", "number", "monotonic_ns",
    "wall_ns", "pid", "thread", "host", "port", "address", "route", "reason", "file", "line", "program", "observed",
    "kernel", "caller_file", "caller_line", "library_file",
]  # fmt: skip
FULL = Path("/dev/full")


def python(source: str, *arguments: object) -> children.Child:
    """Run source behind the guard."""
    return children.python(PRELUDE + source, *arguments)


def lines(path: Path) -> list[dict[str, object]]:
    """Read a journal back."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_violation_is_one_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    python("egressguard.journal_to(sys.argv[1])\nswallow()", journal)
    [record] = lines(journal)
    assert list(record) == FIELDS
    assert record["schema"] == "egressguard.journal/1"
    assert (record["endpoint"], record["reason"], record["route"]) == (
        "posthog.example:443",
        "not-listed",
        "getaddrinfo",
    )
    assert record["thread_name"] == "MainThread"
    assert journal.stat().st_mode & 0o777 == 0o600


def test_a_path_object_and_a_descriptor_do(tmp_path: Path) -> None:
    source = """
import pathlib
egressguard.journal_to(pathlib.Path(sys.argv[1]))
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
egressguard.journal_to(fd)
os.close(fd)
swallow()
"""
    python(source, tmp_path / "one", tmp_path / "two")
    assert lines(tmp_path / "one") == lines(tmp_path / "two") != []


def test_a_file_that_does_not_append_is_refused(tmp_path: Path) -> None:
    source = """
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
try:
    egressguard.journal_to(fd)
except ValueError as error:
    tell(str(error))
"""
    assert "was not opened with O_APPEND" in python(source, tmp_path / "journal").last()


def test_what_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    child = python("egressguard.journal_to(sys.argv[1])", tmp_path / "missing" / "journal")
    assert child.code == 1
    assert "FileNotFoundError" in child.err


def test_a_pipe_gets_lines_too() -> None:
    source = """
reader, writer = os.pipe()
egressguard.journal_to(writer)
swallow()
import json
tell(json.loads(os.read(reader, 65536))["endpoint"])
"""
    assert python(source).last() == "posthog.example:443"


def test_many_processes_and_threads_write_whole_lines(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    source = """
egressguard.journal_to(sys.argv[1])
def many():
    for number in range(50):
        swallow(f"host-{number}.{'x' * 60}.{'y' * 60}.example")
for _ in range(2):
    os.fork()
threads = [threading.Thread(target=many) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with contextlib.suppress(ChildProcessError):
    while True: os.wait()
"""
    command = [sys.executable, "-P", "-c", PRELUDE + source, str(journal)]
    running = [subprocess.Popen(command, env=children.environment()) for _ in range(2)]
    assert [one.wait(60) for one in running] == [0, 0]
    written = lines(journal)
    assert len(written) == 2 * 4 * 4 * 50
    assert len({(one["pid"], one["thread"], one["number"]) for one in written}) == len(written)
    assert len({one["pid"] for one in written}) == 8


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_disk_loses_lines_but_no_refusal() -> None:
    source = """
egressguard.journal_to("/dev/full")
for _ in range(3):
    try:
        socket.create_connection(("posthog.example", 443))
    except egressguard.EgressViolation:
        tell("refused")
tell(egressguard.posture()["journals"])
"""
    child = python(source)
    assert child.told() == ["refused"] * 3 + [[{"name": "/dev/full", "written": 0, "lost": 3}]]
    assert child.err.count("No space left on device") == 1


def test_a_line_that_a_full_disk_cut_does_not_swallow_the_next(tmp_path: Path) -> None:
    source = """
import resource, signal
egressguard.journal_to(sys.argv[1])
swallow("one.example")
size = os.stat(sys.argv[1]).st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
swallow("two.example")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
swallow("three.example")
tell(egressguard.posture()["journals"][0]["lost"])
"""
    journal = tmp_path / "journal"
    child = python(source, journal)
    assert child.last() == 1
    assert "only 100 of" in child.err
    from egressguard import _journal_read

    read = list(_journal_read.records(journal))
    assert [one and one["host"] for one in read] == ["one.example", None, "three.example"]


def test_a_whole_line_behind_a_torn_one_is_found(tmp_path: Path) -> None:
    from egressguard import _journal_read

    journal = tmp_path / "journal"
    python("egressguard.journal_to(sys.argv[1])\nswallow()", journal)
    whole = journal.read_text()
    journal.write_text(whole[:90] + whole + "\n\nnonsense\n[]\n" + '{"schema":"egressguard.journal/2"}\n')
    read = list(_journal_read.records(journal))
    assert [one is None for one in read] == [True, False, True, True, True]


def test_refusals_of_another_interpreter_are_written_at_exit(tmp_path: Path) -> None:
    source = """
import importlib
for name in ("_interpreters", "_xxsubinterpreters"):
    with contextlib.suppress(ImportError):
        interpreters = importlib.import_module(name)
        break
egressguard.journal_to(sys.argv[1])
number = interpreters.create()
interpreters.run_string(number, '''
import _socket
try:
    _socket.getaddrinfo("inner.example", 443)
except RuntimeError:
    pass
''')
swallow("outer.example")
interpreters.destroy(number)
"""
    journal = tmp_path / "journal"
    child = python(source, journal)
    assert child.code == 0, child.err
    assert [one["host"] for one in lines(journal)] == ["outer.example", "inner.example"]


def test_a_line_that_a_daemon_thread_writes_when_the_process_ends_is_written(tmp_path: Path) -> None:
    """The interpreter ends such threads wherever they are."""
    source = """
import json, time
begun, dumps = threading.Event(), json.dumps
def slowly(*words, **more):
    begun.set()
    time.sleep(0.3)
    return dumps(*words, **more)
egressguard.journal_to(sys.argv[1])
json.dumps = slowly
threading.Thread(target=swallow, daemon=True).start()
begun.wait()
"""
    assert python(source, tmp_path / "journal").code == 0
    [record] = lines(tmp_path / "journal")
    assert record["endpoint"] == "posthog.example:443"


def test_a_forked_child_does_not_repeat_its_parents_lines(tmp_path: Path) -> None:
    source = """
egressguard.journal_to(sys.argv[1])
swallow("parent.example")
pid = os.fork()
if pid == 0:
    swallow("child.example")
    sys.exit(0)
os.waitpid(pid, 0)
"""
    journal = tmp_path / "journal"
    python(source, journal)
    assert sorted(str(one["host"]) for one in lines(journal)) == ["child.example", "parent.example"]


def test_a_log_record_carries_the_same_fields(tmp_path: Path) -> None:
    source = """
import logging
class Handler(logging.Handler):
    def emit(self, record):
        tell([record.levelname, record.getMessage(), record.egress])
logging.getLogger("egressguard").addHandler(Handler())
egressguard.journal_to(sys.argv[1])
swallow()
"""
    journal = tmp_path / "journal"
    level, text, fields = python(source, journal).last()
    assert level == "ERROR"
    assert "tried posthog.example:443: refused, not-listed (getaddrinfo)" in text
    assert [fields] == lines(journal)


def test_the_schema_document_names_every_field() -> None:
    documents = Path(__file__).parents[2] / "docs" / "journal-schema.md"
    text = documents.read_text()
    assert [name for name in FIELDS if f"| `{name}` |" not in text] == []
    assert os.path.basename("egressguard.journal/1") in text
