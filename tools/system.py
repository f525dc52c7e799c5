"""What must come from the operating system: installed with apt by root, else named in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Callable

from tools.interpreters import Interpreter
from tools.project import Problem
from tools.steps import logged, tail


def compiles(text: str, *flags: str) -> bool:
    """Whether a C program builds here: that a compiler exists says nothing about headers and libraries."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(text + "\nint main(void) { return 0; }\n")
        command = [compiler, str(source), "-o", str(source.with_suffix("")), *flags]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def found(program: str) -> bool:
    """Whether a program is here; a person's PATH may leave out where administrators' programs are."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])) is not None


CMOCKA = "#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <cmocka.h>"


def mysql_headers() -> bool:
    """Whether pkg-config knows a MySQL client library, by the names that mysqlclient asks for."""
    if shutil.which("pkg-config") is None:
        return False
    names = ("mysqlclient", "mariadb", "libmariadb", "perconaserverclient")
    return any(subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0 for name in names)


# For each need: whether it is met, and Debian's package that meets it.
NEEDS: dict[str, tuple[Callable[[], bool], tuple[str, ...]]] = {
    "compiler": (
        lambda: shutil.which("gcc") is not None and compiles("#include <stdio.h>\n#include <linux/netlink.h>"),
        ("gcc", "libc6-dev"),
    ),
    "cmocka": (lambda: compiles(CMOCKA, "-lcmocka"), ("libcmocka-dev",)),
    "cppcheck": (lambda: shutil.which("cppcheck") is not None, ("cppcheck",)),
    "valgrind": (lambda: found("valgrind"), ("valgrind",)),
    "clang": (lambda: shutil.which("clang") is not None, ("clang", "libclang-rt-dev")),
    # The headers alone: clang compiles for every machine.
    "aarch64": (lambda: Path("/usr/aarch64-linux-gnu/include/stdio.h").exists(), ("libc6-dev-arm64-cross",)),
    "ip": (lambda: found("ip"), ("iproute2",)),
    "unshare": (lambda: found("unshare") and found("setpriv"), ("util-linux",)),
    "nginx": (lambda: found("nginx"), ("nginx",)),
    "dnsmasq": (lambda: found("dnsmasq"), ("dnsmasq-base",)),
    "systemd-analyze": (lambda: found("systemd-analyze"), ("systemd",)),
    "nft": (lambda: found("nft"), ("nftables",)),
    "mysqlclient": (mysql_headers, ("default-libmysqlclient-dev", "pkg-config")),  # it has no wheel for Linux
    "curl": (lambda: found("curl"), ("curl",)),
}
BUILD = ("compiler",)
# The last two read what `export` writes.
CHECKS = ("compiler", "cmocka", "cppcheck", "clang", "aarch64", "nft", "systemd-analyze")
LABORATORY = ("ip", "unshare", "nginx", "dnsmasq")  # what tests/lab starts in namespaces of its own


def packages_for(interpreter: Interpreter) -> list[str]:
    """Return the packages that complete the distribution's own interpreter; another's parts are not ours to add."""
    version = ".".join(map(str, interpreter.minor))
    wanted = [] if interpreter.venv else [f"python{version}-venv"]
    return wanted + ([] if interpreter.headers else [f"python{version}-dev"])


def provide(needs: Iterable[str], interpreters: list[Interpreter]) -> None:
    """Make sure that the needs are met and that the distribution's own interpreter is complete.

    Raises Problem with the command to type where something is missing and this is not root, or apt is not here.
    """
    missing = [package for need in needs if not NEEDS[need][0]() for package in NEEDS[need][1]]
    for interpreter in interpreters:
        if interpreter.is_system:
            missing += packages_for(interpreter)
    if not interpreters:
        missing += newest_python()
    if missing:
        install(missing)


def newest_python() -> list[str]:
    """Return the packages of the newest CPython that this distribution has; several have more than `python3`."""
    if shutil.which("apt-cache") is not None:
        update()
        for version in ("3.14", "3.13", "3.12", "3.11"):
            if subprocess.run(["apt-cache", "show", f"python{version}-venv"], capture_output=True, check=False).stdout:
                return [f"python{version}", f"python{version}-venv", f"python{version}-dev"]
    return ["python3.11", "python3.11-venv", "python3.11-dev"]


def apt(*arguments: str) -> tuple[int, str]:
    """Run apt-get without questions; another run of it on this machine is waited for."""
    options = ["-y", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return logged(f"apt-{arguments[0]}", ["apt-get", *options, *arguments], variables=variables)


@cache
def update() -> None:
    """Fetch the package lists, once. A failure is not the end: the lists that are here may be enough."""
    if os.geteuid() == 0:
        apt("update")


@contextmanager
def services_stay_down() -> Iterator[None]:
    """Keep packages from starting their service: a test needs the program of nginx, nobody asked for a web server."""
    policy = Path("/usr/sbin/policy-rc.d")  # invoke-rc.d's own switch; 101 means that the action is forbidden
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def install(packages: list[str]) -> None:
    """Install Debian packages, or say in one line which ones to install."""
    names = list(dict.fromkeys(packages))
    if shutil.which("apt-get") is None:
        raise Problem(f"install these first, under the names they have here: {' '.join(names)}")
    if os.geteuid() != 0:
        raise Problem(f"install these first: sudo apt-get install -y {' '.join(names)}")
    print(f"installing with apt: {' '.join(names)}", flush=True)
    update()
    with services_stay_down():
        code, output = apt("install", "--no-install-recommends", *names)
    if code:
        raise Problem(f"{tail(output)}\napt-get could not install: {' '.join(names)}")
