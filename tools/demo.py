"""The main job, shown: real clients against a real server before the guard, behind it, and in a test.

Every phase is a child process, and every figure under "server saw" is counted in the server's own log. Nothing leaves
this machine: without the guard the forbidden name is not tried at all. Exit 1 when what the server saw is not what
egressguard promises.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
FORBIDDEN = "collector.example"  # reserved by RFC 2606: nobody's, even if a question for it escaped
OUTCOME_WIDTH = 76
CLIENTS = ("requests", "httpx", "urllib.request", "aiohttp", "socket")

TESTS = """\
import os

import pytest
from demo_clients import CLIENTS, LOOPBACK, violation_in

PORT = int(os.environ["DEMO_PORT"])


@pytest.mark.parametrize("client", CLIENTS)
def test_with_the_fixture(client, egress_test_loopback):
    CLIENTS[client](LOOPBACK, PORT, f"/with/{client}")


@pytest.mark.egress_expected(LOOPBACK)
@pytest.mark.parametrize("client", CLIENTS)
def test_without_it(client):
    with pytest.raises(BaseException) as caught:
        CLIENTS[client](LOOPBACK, PORT, f"/without/{client}")
    assert violation_in(caught.value) is not None
"""


@dataclass
class Row:
    """One line of the table, and what the server was promised to see."""

    client: str
    target: str
    outcome: str
    saw: str
    wrong: str = ""


class Log:
    """The server's record of what reached it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0

    def news(self) -> tuple[int, Counter[str]]:
        """Return the connections accepted since the last call, and how often each path was asked for."""
        with self.path.open(encoding="utf-8") as file:
            file.seek(self.position)
            records = [json.loads(line) for line in file.read().splitlines()]
            self.position = file.tell()
        paths = Counter(record["request"] for record in records if "request" in record)
        return sum("connection" in record for record in records), paths


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, Log]]:
    """Start the server in a child process; yield its port and its log."""
    log = folder / "server.log"
    command = [sys.executable, "-P", str(HERE / "demo_server.py"), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield int(child.stdout.readline()), Log(log)
        finally:
            child.terminate()


def heading(text: str) -> None:
    """Print the line that opens a phase."""
    print(f"\n{text}\n", flush=True)


def show(rows: list[Row]) -> list[str]:
    """Print the table of a phase and return what contradicts the promise."""
    titles = Row("client", "target", "what the client got", "server saw")
    widths = [max(len(getattr(row, name)) for row in [titles, *rows]) for name in ("client", "target", "outcome")]
    for row in [titles, *rows]:
        cells = [text.ljust(width) for text, width in zip((row.client, row.target, row.outcome), widths)]
        print("  " + "  ".join([*cells, row.saw]) + ("   <-- WRONG" if row.wrong else ""))
    return [row.wrong for row in rows if row.wrong]


def requests_text(count: int) -> str:
    """Return a count as the table shows it."""
    return "nothing" if count == 0 else f"{count} request{'s' if count > 1 else ''}"


def clients_phase(phase: str, port: int, log: Log, names: list[str]) -> list[str]:
    """Run the clients in a child process and show them; `names` are the hosts to try besides loopback."""
    command = [sys.executable, "-P", str(HERE / "demo_clients.py"), phase, str(port), *names]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    connections, paths = log.news()
    rows = []
    for line in child.stdout.splitlines():
        told = json.loads(line)
        seen = paths[told["path"]]
        guarded = phase == "after"
        kept = told["refused"] and seen == 0 if guarded else seen == 1
        problem = f"{phase} install(), {told['client']} to {told['target']}: {told['outcome']}, the server saw {seen}"
        shown = textwrap.shorten(told["outcome"], OUTCOME_WIDTH, placeholder=" ...")
        rows.append(Row(told["client"], told["target"], shown, requests_text(seen), "" if kept else problem))
    if not names:
        rows.append(Row("(any)", f"{FORBIDDEN}:{port}", "not tried: nothing here leaves the machine", "-"))
    wrong = show(rows)
    if child.stderr:
        print("\n  What went to the log:\n\n" + textwrap.indent(child.stderr.rstrip(), "    "))
    expected = len(CLIENTS) * (1 + len(names))
    if child.returncode or len(rows) < expected:
        wrong.append(f"{phase} install(): the clients ended early, exit {child.returncode}")
    if phase == "after" and connections:
        wrong.append(f"after install(): {connections} connections reached the server")
    return wrong


def pytest_phase(port: int, log: Log, folder: Path) -> list[str]:
    """Run a small test suite in a child process, with this project's own conftest.py, the recipe for every project."""
    shutil.copy(HERE.parent / "conftest.py", folder)
    (folder / "test_demo.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    shutil.copy(HERE / "demo_clients.py", folder)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(folder)]
    variables = {**os.environ, "DEMO_PORT": str(port)}
    child = subprocess.run(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    connections, paths = log.news()
    failed = {
        str(case.get("name")): case.find("failure") is not None or case.find("error") is not None
        for case in (ET.parse(report).iter("testcase") if report.exists() else ())
    }
    rows = []
    for test, promised in (("with_the_fixture", 1), ("without_it", 0)):
        for client in CLIENTS:
            seen = paths[f"/{test.split('_')[0]}/{client}"]
            bad = failed.get(f"test_{test}[{client}]", True)
            outcome = f"test {'failed' if bad else 'passed'}, {'reached its own server' if promised else 'refused'}"
            problem = f"in a test, {client} {test}: the server saw {seen}" if bad or seen != promised else ""
            label = f"{LOOPBACK}:{port}, {test.replace('_', ' ')}"
            rows.append(Row(client, label, "test failed" if bad else outcome, requests_text(seen), problem))
    wrong = show(rows)
    if connections != len(CLIENTS):
        wrong.append(f"in tests: {connections} connections reached the server instead of {len(CLIENTS)}")
    if child.returncode:
        wrong.append(f"the test run ended with exit {child.returncode}")
    print("\n  pytest says: " + (child.stdout.strip().splitlines() or ["nothing"])[-1])
    if wrong:
        print(child.stdout)
    return wrong


def main() -> int:
    """Show the phases one after another; return 1 when one contradicts the promise."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="egressguard-demo-") as name:
        folder = Path(name)
        with server(folder) as (port, log):
            print(f"a server listens on {LOOPBACK}:{port}; the allowlist is the default one")
            heading("1. Before egressguard.install(): every client reaches it.")
            wrong += clients_phase("before", port, log, [])
            heading("2. After egressguard.install(), in a new process: nothing does, and no name is asked.")
            wrong += clients_phase("after", port, log, [FORBIDDEN])
            heading("3. In a test run behind the guard: only a test that requests egress_test_loopback.")
            tests = folder / "tests"
            tests.mkdir()
            wrong += pytest_phase(port, log, tests)
    heading("4. egressguard self-check")
    command = str(Path(sys.executable).with_name("egressguard"))
    if subprocess.run([command, "self-check"], check=False).returncode:
        wrong.append("egressguard self-check failed")
    print("\n" + ("\n".join(f"WRONG: {line}" for line in wrong) or "What the server saw is what egressguard promises."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
