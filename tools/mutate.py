"""Break `src/core` in one place at a time and see whether the C tests notice.

`python -m tools.mutate [--sample N] [--file NAME ...] [--seed N]`. Each comparison is turned round and moved by one, each
`&&` and `||` exchanged, each refusal and each `return true` or `return false` made its opposite; the mutant is compiled
into a copy of the core that the unchanged test programs load. A mutant that no test notices has to stand, with the
reason, in `tests/core/mutation_survivors.txt`: any other one, and any line there that no longer survives, is a failure.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from tools.core_tests import COMMON, compiler
from tools.project import ROOT, Problem, environment_variables
from tools.steps import AT_ONCE, end_group

CORE = ROOT / "src/core"
TESTS = ROOT / "tests/core"
ACCEPTED = TESTS / "mutation_survivors.txt"
FLAGS = [*COMMON, "-O0", "-w"]

EXCHANGED = {
    "==": ("!=",),
    "!=": ("==",),
    "<": (">=", "<="),
    ">": ("<=", ">="),
    "<=": (">", "<"),
    ">=": ("<", ">"),
    "&&": ("||",),
    "||": ("&&",),
}
# Tokens that contain one of the above without being it come first.
OPERATOR = re.compile(r"->|<<=|>>=|<<|>>|==|!=|<=|>=|&&|\|\||<|>")
RETURN = re.compile(r"\breturn\b[^;]*;")
VERDICT = re.compile(r"\bEG_REFUSED_\w+|\btrue\b|\bfalse\b")
FUNCTION = re.compile(r"^[a-z][\w *]*?\b(\w+)\([^;]*$")
BLANKED = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|^[ \t]*#[^\n]*", re.DOTALL | re.MULTILINE
)
ENTRY = re.compile(r"(?P<mutant>.+?) {2,}# (?P<reason>.+)")


@dataclass(frozen=True)
class Mutant:
    """One change: which file, where in it, and how it is named in the list of accepted survivors."""

    file: str
    start: int
    end: int
    new: str
    name: str


def blank(match: re.Match[str]) -> str:
    """Keep the place of what is no code, so that offsets stay true."""
    return re.sub(r"[^\n]", " ", match.group())


def for_linux(text: str) -> str:
    """Blank the `#else` of each `#ifdef`: code for other systems, which no test here can reach."""
    lines, inside = [], []
    for line in text.split("\n"):
        directive = line.strip()
        if directive.startswith("#if"):
            inside.append(False)
        elif directive.startswith("#else"):
            inside[-1] = True
        elif directive.startswith("#endif"):
            inside.pop()
        lines.append(" " * len(line) if any(inside) else line)
    return "\n".join(lines)


def code_of(text: str) -> str:
    """Return the text with all blanked that is no code here: comments, literals, preprocessor, static assertions."""
    return re.sub(r"_Static_assert\([^;]*;", blank, BLANKED.sub(blank, for_linux(text)), flags=re.DOTALL)


def changes(code: str) -> Iterator[tuple[int, int, str]]:
    """Yield every change that can be made: from, to, and the new text."""
    for match in OPERATOR.finditer(code):
        for new in EXCHANGED.get(match.group(), ()):
            yield match.start(), match.end(), new
    for statement in RETURN.finditer(code):
        for match in VERDICT.finditer(code, statement.start(), statement.end()):
            opposite = {"true": "false", "false": "true"}.get(match.group(), "EG_ALLOWED")
            yield match.start(), match.end(), opposite


def mutants_of(path: Path) -> list[Mutant]:
    """Return the mutants of a file, named by function and text: a name survives edits elsewhere in the file.

    A line that only returns is named together with the line before it, which says when it returns.
    """
    text = path.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    functions, current = [], "?"
    for line in code_of(text).splitlines():
        found = FUNCTION.match(line)
        current = found.group(1) if found else current
        functions.append(current)
    mutants: list[Mutant] = []
    times: dict[str, int] = {}
    for start, end, new in sorted(changes(code_of(text))):
        row = text.count("\n", 0, start)
        old = text[start:end]
        line = lines[row] if not lines[row].startswith("return") else f"{lines[row - 1]} {lines[row]}"
        name = f"{path.name}: {functions[row]}: {line} : {old} -> {new}"
        times[name] = times.get(name, 0) + 1
        name += f" [{times[name]}]" if times[name] > 1 else ""
        mutants.append(Mutant(path.name, start, end, new, name))
    return mutants


def accepted() -> dict[str, str]:
    """Return the survivors that are accepted, each with its reason."""
    found = {}
    for line in ACCEPTED.read_text(encoding="utf-8").splitlines() if ACCEPTED.exists() else []:
        if line.strip() and not line.startswith("#"):
            entry = ENTRY.fullmatch(line)
            if entry is None:
                raise Problem(f"{ACCEPTED.name}: not 'mutant  # reason': {line}")
            found[entry["mutant"]] = entry["reason"]
    return found


def run(command: list[object], cwd: Path, limit: float) -> bool:
    """Run a program, with everything it starts, and return whether it ended well and in time."""
    variables = {**environment_variables(), "TMPDIR": str(cwd)}
    with (
        Path(cwd, "output").open("w+b") as output,
        subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=variables,
            stdin=output,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as child,
    ):
        try:
            return child.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            end_group(child.pid)


@dataclass
class Bench:
    """A folder with the test programs and the core's objects; each worker has a copy of its own."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def build(self) -> None:
        """Compile everything unchanged; a test that fails now would notice every mutant."""
        shutil.copytree(ROOT / "src", self.folder / "src")
        shutil.copytree(TESTS, self.folder / "tests/core")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in pool.map(self.compile, sorted((self.folder / "src/core").glob("*.c"))):
                assert done, "the unchanged core does not compile"
            self.link()
            for test, done in pool.map(self.compile_test, sorted((self.folder / "tests/core").glob("test_*.c"))):
                if not done:
                    raise Problem(f"{test} does not compile")
        for program in sorted(self.folder.glob("test_*")):
            started = time.monotonic()
            if not run([program], self.folder, 120):
                raise Problem(f"{program.name} fails on the unchanged core")
            self.seconds[program.name] = time.monotonic() - started

    def compile(self, source: Path) -> bool:
        """Compile one file of the core."""
        target = self.folder / f"{source.stem}.o"
        return run([compiler(), *FLAGS, "-fPIC", "-Isrc", "-c", source, "-o", target], self.folder, 120)

    def compile_test(self, source: Path) -> tuple[str, bool]:
        """Compile one test against the shared core that stands beside it."""
        loads = ["-L.", "-lcore", "-lcmocka", "-Wl,-rpath,$ORIGIN"]
        return source.stem, run([compiler(), *FLAGS, source, *loads, "-o", source.stem], self.folder, 120)

    def link(self) -> bool:
        """Link the core's objects."""
        objects = sorted(self.folder.glob("*.o"))
        return run([compiler(), "-shared", *objects, "-pthread", "-o", "libcore.so"], self.folder, 120)

    def noticed(self, mutant: Mutant) -> str | None:
        """Return what noticed the mutant, or None where nothing did."""
        source = self.folder / "src/core" / mutant.file
        original = source.read_text(encoding="utf-8")
        object_kept = (self.folder / f"{source.stem}.o").read_bytes()
        source.write_text(original[: mutant.start] + mutant.new + original[mutant.end :], encoding="utf-8")
        try:
            if not self.compile(source) or not self.link():
                return "the compiler"
            for test in self.order(source.stem):
                if not run([self.folder / test], self.folder, 5 + 4 * self.seconds[test]):
                    return test
            return None
        finally:
            source.write_text(original, encoding="utf-8")
            (self.folder / f"{source.stem}.o").write_bytes(object_kept)

    def order(self, stem: str) -> list[str]:
        """Return the tests in the order in which they are likely to notice: the file's own first, then the quick ones."""
        subject = stem.rstrip("s")[:5]
        return sorted(self.seconds, key=lambda test: (subject not in test, self.seconds[test]))

    def copy(self, folder: Path) -> Bench:
        """Return a copy for another worker."""
        shutil.copytree(self.folder, folder)
        return Bench(folder, self.seconds)


def judge(mutants: list[Mutant], known: dict[str, str]) -> int:
    """Try the mutants, print what survives, and return the exit status."""
    survivors: set[str] = set()
    noticed: dict[str, int] = {}
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="egressguard-mutate-") as folder:
        first = Bench(Path(folder, "0"))
        first.build()
        benches: SimpleQueue[Bench] = SimpleQueue()
        benches.put(first)
        for number in range(1, AT_ONCE):
            benches.put(first.copy(Path(folder, str(number))))

        def attempt(mutant: Mutant) -> None:
            bench = benches.get()
            try:
                by = bench.noticed(mutant)
                if by is not None and mutant.name in known:
                    by = bench.noticed(mutant)  # a busy machine can fail a test for once
            finally:
                benches.put(bench)
            with lock:
                noticed[by or "nothing"] = noticed.get(by or "nothing", 0) + 1
                if by is None:
                    survivors.add(mutant.name)
                    print(f"{'accepted' if mutant.name in known else 'SURVIVES'}  {mutant.name}", flush=True)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(attempt, mutants))
    unexpected = survivors - known.keys()
    tried = {mutant.name for mutant in mutants}
    stale = {name for name in known if name in tried and name not in survivors}
    for name in sorted(stale):
        print(f"NOTICED, strike it from {ACCEPTED.name}: {name}")
    for by, count in sorted(noticed.items(), key=lambda item: -item[1]):
        print(f"{count:6d}  noticed by {by}")
    print(
        f"{len(mutants)} mutants, {len(survivors)} survived, {len(unexpected)} of them unexpected, {len(stale)} stale"
    )
    return 1 if unexpected or stale or not mutants else 0


def main(arguments: list[str]) -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants, chosen by --seed")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the sample (default: the clock)")
    parser.add_argument("--file", action="append", metavar="NAME", help="only this file of src/core (repeatable)")
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    options = parser.parse_args(arguments)
    files = sorted(CORE.glob("*.c"))
    if options.file:
        files = [path for path in files if path.name in options.file or path.stem in options.file]
    mutants = [mutant for path in files for mutant in mutants_of(path)]
    gone = accepted().keys() - {mutant.name for path in sorted(CORE.glob("*.c")) for mutant in mutants_of(path)}
    if gone:
        raise Problem(f"{ACCEPTED.name} names what is not there any more: {'; '.join(sorted(gone))}")
    if options.sample is not None and options.sample < len(mutants):
        print(f"a sample of {options.sample} of {len(mutants)} mutants, --seed {options.seed}", flush=True)
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    if options.list:
        print("\n".join(mutant.name for mutant in mutants))
        return 0
    return judge(mutants, accepted())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        sys.exit(f"mutate: {problem}")
