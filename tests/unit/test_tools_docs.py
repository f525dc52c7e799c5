"""The guides: every command and every example shown is run, and every test that a claim links to exists.

A fence says what its block is: ``console`` (``$ `` begins a command, the lines below it are its output, ``...`` stands for
anything; ``# exit status N`` behind a command says that it is not 0), ``python`` (a script), ``title=NAME`` (a file that
later blocks use), ``needs=PROGRAM`` (left out where that is missing; ``namespace`` runs it in a network of its own).
The blocks of one guide run in one folder, in their order.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import children
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ROOT / "docs"
GUIDES = ("README", "install", "tour", "testing", "operators", "threat-model", "kernel-layer", "api", "journal-schema")
# What these show is run elsewhere (docs/temporal.md by the integration tests), or is no command.
OTHERS = ("architecture", "compatibility", "contributing", "performance", "temporal")
DRAWN = re.compile(r"performance[\w-]*\.png")  # by `./dev bench`
FENCE = re.compile(r"^```(\S*)[ \t]*([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
STATUS = re.compile(r"\s+# exit status (\d+)$")
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Block(NamedTuple):
    """One fenced block of a guide."""

    kind: str
    words: dict[str, str]
    text: str


def path_of(name: str) -> Path:
    """Return the file of a document."""
    return ROOT / "README.md" if name == "README" else DOCUMENTS / f"{name}.md"


def blocks(name: str) -> list[Block]:
    """Return the blocks of a guide."""
    found = []
    for kind, rest, text in FENCE.findall(path_of(name).read_text()):
        words = dict(word.partition("=")[::2] for word in rest.split())
        found.append(Block(kind, words, text))
    return found


def commands(text: str) -> list[tuple[str, int, str]]:
    """Return each command of a console block, the exit status it is to have, and its expected output."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command = command[:-1] + more.removeprefix("> ")
        status = STATUS.search(command)
        found.append((STATUS.sub("", command), int(status[1]) if status else 0, expected))
    return found


def matches(expected: str, shown: str) -> bool:
    """Whether the output is what the guide shows; ``...`` stands for anything, a line of it for any lines or none."""
    pattern = ""
    for line in expected.strip().splitlines():
        inner = ".*?".join(map(re.escape, line.split("...")))
        pattern += r"(?:[^\n]*\n)*?" if line == "..." else inner + r"\n"
    return re.fullmatch(pattern, shown.strip() + "\n", re.DOTALL) is not None


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one command in the folder of its guide: no package index, no proxies, no plugin but the project's own."""
    variables = {"PATH": PATH, "HOME": str(folder), "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**children.environment(variables), "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def run_console(block: Block, folder: Path) -> None:
    """Run the commands of a block and compare."""
    prefix: list[str] = []
    for need in filter(None, block.words.get("needs", "").split(",")):
        if need == "namespace":
            prefix = list(children.namespace())
            if not prefix:
                return
        elif shutil.which(need, path=PATH) is None:
            return
    for command, status, expected in commands(block.text):
        done = run([*prefix, "bash", "-c", command], folder)
        assert done.returncode == status, f"$ {command}\n{done.stdout}"
        if expected.strip():
            assert matches(expected, done.stdout), f"$ {command}\nexpected:\n{expected}\nshown:\n{done.stdout}"


@pytest.mark.timeout(600)  # a dozen runs of pytest, with every plugin that is installed
@pytest.mark.parametrize("name", GUIDES)
def test_what_the_guide_shows_runs(name: str, tmp_path: Path) -> None:
    for block in blocks(name):
        if "title" in block.words:
            (tmp_path / block.words["title"]).write_text(block.text)
        elif block.kind == "python":
            done = run([sys.executable, "-c", block.text], tmp_path)
            assert done.returncode == 0, f"{block.text}\n{done.stdout}"
        elif block.kind == "console":
            run_console(block, tmp_path)


@pytest.mark.parametrize("name", GUIDES)
def test_no_block_is_of_a_kind_that_nobody_runs(name: str) -> None:
    kinds = {block.kind for block in blocks(name) if "title" not in block.words}
    assert kinds <= {"console", "python", "json", "text"}


@pytest.mark.parametrize("name", [*GUIDES, *OTHERS])
def test_every_link_leads_somewhere(name: str) -> None:
    for target, _ in LINK.findall(path_of(name).read_text()):
        if not target.startswith("https://") and not DRAWN.fullmatch(target):
            assert (path_of(name).parent / target).resolve().exists(), target


@pytest.mark.parametrize("name", [*GUIDES, *OTHERS])
def test_every_test_that_is_named_exists(name: str) -> None:
    for file, function in TEST.findall(path_of(name).read_text()):
        assert (ROOT / file).is_file(), file
        if function:
            assert f"def {function}(" in (ROOT / file).read_text(), f"{file}::{function}"


def test_every_document_is_looked_at() -> None:
    assert {path.stem for path in DOCUMENTS.glob("*.md")} == {*GUIDES, *OTHERS} - {"README"}


def test_every_public_name_is_in_the_reference() -> None:
    import egressguard

    text = (DOCUMENTS / "api.md").read_text()
    assert [name for name in egressguard.__all__ if f"`{name}" not in text] == []


def test_every_command_is_in_the_reference() -> None:
    out = children.start([sys.executable, "-P", "-m", "egressguard.cli", "--help"]).out
    names = re.findall(r"^    ([a-z-]+)\b", out, re.MULTILINE)
    assert len(names) >= 6
    text = (DOCUMENTS / "api.md").read_text()
    assert [name for name in names if f"`egressguard {name}" not in text] == []
