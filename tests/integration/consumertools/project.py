"""A generated project with a `conftest.py` of its own, tested by a child pytest: what came of each test."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import children

HERE = Path(__file__).resolve().parent

# How pytest knows each plugin. Only the named ones are loaded: what is tested is one of them at a time.
PLUGINS = {
    "anyio": "anyio.pytest_plugin",
    "pytest-asyncio": "pytest_asyncio.plugin",
    "pytest-httpserver": "pytest_httpserver.pytest_plugin",
    "pytest-rerunfailures": "pytest_rerunfailures",
    "pytest-timeout": "pytest_timeout",
    "pytest-xdist": "xdist.plugin",
}


@dataclass
class Run:
    """How a child pytest ended."""

    child: children.Child
    outcomes: dict[str, str]  # by the name of the test: passed, failed, error, skipped

    def __str__(self) -> str:
        """Show what a failed assertion should tell."""
        return f"exit status {self.child.code}\n{self.child.out}\n{self.child.err}"


def outcomes_in(report: Path) -> dict[str, str]:
    """Read a JUnit report. A test that failed and then had an error in its teardown counts as an error."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # pytest wrote it a moment ago
        kinds = {"failure": "failed", "error": "error", "skipped": "skipped"}
        words = [kinds[child.tag] for child in case if child.tag in kinds]
        found[case.attrib["name"]] = words[-1] if words else "passed"
    return found


class Project:
    """A folder with a copy of this repository's own `conftest.py`, and the tests that a case needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "conftest.py").write_text(children.ROOT_CONFTEST.read_text())

    def write(self, name: str, source: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.write_text(textwrap.dedent(source))
        return path

    def run(
        self, *arguments: str, plugins: Sequence[str] = (), ini: Sequence[str] = (), prefix: Sequence[str] = ()
    ) -> Run:
        """Run pytest on the whole project. It has no configuration but `ini`, and no plugin but the named ones."""
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        (self.folder / "none.toml").write_text("")
        command = [
            *prefix,
            sys.executable,
            "-m",
            "pytest",
            "-c",
            str(self.folder / "none.toml"),
            f"--rootdir={self.folder}",
            f"--junitxml={report}",
        ]
        command += ["-p", "no:cacheprovider", "-ra", "-W", "error"]
        command += [word for name in plugins for word in ("-p", PLUGINS[name])]
        command += [word for line in ini for word in ("-o", line)]
        changes = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{children.SUPPORT}{os.pathsep}{HERE}"}
        child = children.start([*command, *arguments, str(self.folder)], env=changes, cwd=self.folder)
        return Run(child, outcomes_in(report) if report.exists() else {})
