"""The checks that read the sources: ruff, mypy, cppcheck, and what the linked extension must look like."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from tools.environments import Environment
from tools.project import ROOT
from tools.steps import Steps

# `python` and `posix` teach cppcheck the macros of the headers, which it is not given: it would parse them for minutes.
CPPCHECK = [
    "cppcheck",
    "--std=c11",
    "--quiet",
    "--inline-suppr",
    "--error-exitcode=1",
    "--enable=warning,performance,portability",
    "--library=python",
    "--library=posix",
    "--library=gnu",
    "--suppress=missingIncludeSystem",
    "--suppress=readdirCalled",  # readdir_r is deprecated; readdir is safe on a stream that one thread holds
    "-D__linux__",
    "-Isrc",
    "src",
]


def lint(environment: Environment, steps: Steps) -> None:
    """Run every check as a step; one whose subject does not exist yet is left out."""
    ruff = environment.program("ruff")
    steps.run("ruff check", [ruff, "check", "."])
    steps.run("ruff format --check", [ruff, "format", "--check", "."])
    for folder in ("python/egressguard", "codegenie/src/egressguard_codegenie", "tools"):
        if any((ROOT / folder).glob("*.py")):
            mypy = [environment.program("mypy"), "--strict", "--cache-dir=.dev/mypy"]
            steps.run(f"mypy --strict {folder}", [*mypy, folder])
    if any((ROOT / "src").rglob("*.c")):
        steps.run("cppcheck", CPPCHECK)
    steps.check("compiles for aarch64", compiles_for_aarch64)
    steps.check("extension: one symbol, full RELRO", lambda: linkage(environment))


def compiles_for_aarch64() -> str:
    """Return what a compiler for aarch64, which has other system calls, says of the core and the kernel layer."""
    flags = ["-std=c11", "-D_GNU_SOURCE=1", "-O2", "-Wall", "-Wextra", "-Werror", "-Isrc", "-c", "-o", "/dev/null"]
    command = ["clang", "--target=aarch64-linux-gnu", "-isystem", "/usr/aarch64-linux-gnu/include", *flags]
    for source in sorted([*ROOT.glob("src/core/*.c"), *ROOT.glob("src/linux/*.c")]):
        done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            return done.stderr
    return ""


def linkage(environment: Environment) -> str:
    """Return what is wrong with the installed extension as a shared object, or an empty string."""
    if platform.system() != "Linux":
        return ""
    found = list(environment.folder.glob("lib/python*/site-packages/egressguard/_egressguard.*.so"))
    if len(found) != 1:
        return f"expected one extension, found {len(found)}"
    symbols = output_of("nm", "-D", "--defined-only", "-j", found[0]).split()
    if symbols != ["PyInit__egressguard"]:
        return f"exports {', '.join(symbols) or 'nothing'}"
    if "NOW" not in output_of("readelf", "-d", found[0]) or "GNU_RELRO" not in output_of("readelf", "-lW", found[0]):
        return "not fully RELRO"
    return ""


def output_of(*command: str | Path) -> str:
    """Return what a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
