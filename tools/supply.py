"""What a user must be able to check about the package: `python -m tools.supply [wheel | audit | sbom | pins ...]`.

* wheel: two builds, in two folders and under two names, time zones and locales, give the same file
* audit: auditwheel finds nothing that the wheel needs from elsewhere
* sbom: a CycloneDX document for the wheel, in dist/
* pins: every package of the extras is pinned with hashes in requirements/

`python -m tools.supply pin` adds what is not pinned yet, `upgrade` resolves all of it anew, both with uv. What is
needed for it is installed in an environment of its own under .dev/.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

from tools.environments import extras_of
from tools.project import ROOT, STATE, Problem, commit_time, copy_of_tree, environment_variables
from tools.sbom import document, names_in
from tools.steps import Steps, logged, tail

HOME = STATE / "supply"
PINS = ROOT / "requirements"
# Each with those that share an environment with it, and were resolved before: it agrees with them.
EXTRAS: dict[str, tuple[str, ...]] = {
    "test": (),
    "demo": ("test",),
    "lint": ("test",),
    "fuzz": (),
    "bench": ("test",),
    "integration": ("test",),
    "catalogue": ("test", "integration"),
    "catalogue-source": ("test", "integration", "catalogue"),
    "catalogue-beside": (),
}
BUILD_REQUIREMENTS = "setuptools>=77.0.3\n"
# What auditwheel may name: the C library, which a manylinux tag stands for.
LIBRARIES = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"}


def build(name: str, **changes: str) -> Path:
    """Build a wheel from a copy of the tree in a folder of this name; return it."""
    tree = copy_of_tree(HOME / name)
    target = HOME / f"{name.partition('/')[0]}-wheel"
    shutil.rmtree(target, ignore_errors=True)
    pip = [sys.executable, "-I", "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    variables = {**environment_variables(), "SOURCE_DATE_EPOCH": commit_time(), **changes}
    code, output = logged(f"supply-{target.name}", [*pip, "-w", target, tree], variables=variables)
    if code:
        raise Problem(f"{tail(output)}\nthe wheel does not build")
    shutil.rmtree(tree)
    return next(target.glob("*.whl"))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wheel() -> str:
    """Build twice and compare."""
    first = build("first", TZ="UTC", LC_ALL="C")
    second = build("second/in/another/folder", TZ="Asia/Kathmandu", LC_ALL="C.UTF-8")
    if digest(first) != digest(second):
        return f"{first.name} and a second build differ: compare {first} and {second}"
    print(f"{digest(first)}  {first.name}", flush=True)
    return ""


def tool(name: str) -> Path:
    """Return a program of PyPI, installed in an environment of its own."""
    home = HOME / "tools"
    program = home / "bin" / name
    if not program.exists():
        variables = environment_variables(network=True)
        for command in ([sys.executable, "-m", "venv", home], [home / "bin" / "pip", "install", "-q", name]):
            code, output = logged(f"supply-tool-{name}", command, variables=variables)
            if code:
                raise Problem(f"{tail(output)}\n{name} cannot be installed")
    return program


def audit() -> str:
    """Ask auditwheel what the wheel needs."""
    built = build("audit")
    told = subprocess.run([str(tool("auditwheel")), "show", str(built)], capture_output=True, text=True, check=False)
    text = " ".join((told.stdout + told.stderr).split())
    tag = re.search(r'platform tag: "(\w+)"', text)
    needed = set(re.findall(r"\b[\w-]+\.so(?:\.\d+)*\b", text)) - LIBRARIES
    if told.returncode or tag is None or not tag[1].startswith("manylinux") or needed:
        return f"{text}\n{built.name} is not clean"
    print(f"{built.name}: {tag[1]}", flush=True)
    return ""


def sbom() -> str:
    """Write the CycloneDX document of the wheel."""
    built = build("sbom")
    target = ROOT / "dist" / f"{built.name[: -len('.whl')]}.cdx.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(document(built, PINS, int(commit_time())))
    print(f"dist/{target.name}", flush=True)
    return ""


def pins() -> str:
    """Compare what the extras want with what is pinned."""
    wrong = []
    for extra, wanted in extras_of(Path(sys.executable)).items():
        if extra not in EXTRAS:
            wrong.append(f"{extra} (and name it in tools/supply.py)")
            continue
        pinned = names_in(PINS / f"{extra}.txt")
        wrong += [f"{extra}: {name}" for name in map(normal_name, wanted) if name not in pinned]
        wrong += [f"{extra}: {name} without a hash" for name, (_, hashes) in pinned.items() if not hashes]
    return "" if not wrong else f"not pinned, run `python -m tools.supply pin`: {', '.join(wrong)}"


def normal_name(requirement: str) -> str:
    """Return the name of a requirement as indexes spell it."""
    found = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0] if found else requirement).lower()


def upgrade() -> str:
    """Resolve every extra anew."""
    return pin("--upgrade")


def pin(*more: str) -> str:
    """Resolve every extra for every Python from 3.11 on, and write its file; what is pinned stays as it is."""
    PINS.mkdir(exist_ok=True)
    uv = [tool("uv"), "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--generate-hashes"]
    quiet = ["--no-header", "--no-annotate", *more]
    source = HOME / "build.in"
    source.write_text(BUILD_REQUIREMENTS)
    jobs: list[list[object]] = [["-o", PINS / "build.txt", source]]
    for extra, others in EXTRAS.items():
        agree = [f"-c{PINS / other}.txt" for other in others]
        jobs.append([*agree, "--extra", extra, "-o", PINS / f"{extra}.txt", ROOT / "pyproject.toml"])
    for job in jobs:
        code, output = logged("supply-pin", [*uv, *quiet, *job], variables=environment_variables(network=True))
        if code:
            raise Problem(f"{tail(output)}\nthe packages cannot be resolved")
    return pins()


PARTS: dict[str, Callable[[], str]] = {"wheel": wheel, "audit": audit, "sbom": sbom, "pins": pins}


def main(arguments: list[str]) -> int:
    """Run the parts, all but `pin` and `upgrade` where none is named."""
    known = {**PARTS, "pin": pin, "upgrade": upgrade}
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"supply: {unknown[0]} is none of {', '.join(known)}", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    HOME.mkdir(parents=True, exist_ok=True)
    steps = Steps()
    for name in arguments or PARTS:
        steps.check(name, known[name])
    print(steps.table())
    return 0 if steps.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
