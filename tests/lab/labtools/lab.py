"""The laboratory as the tests see it: run a case, get what it reported and what was on the wire."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trustme

from labtools import addresses, services
from labtools.processes import Worker, python
from labtools.wire import Wire

HOSTS_FILE = f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {addresses.HOST_NAME}\n"
BY_DNSMASQ = f"nameserver {addresses.DNSMASQ}\n"
BY_SCRIPT = f"nameserver {addresses.SCRIPTED}\n"
PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "mount", "nginx", "dnsmasq")

# As root directly; else as root of a user namespace, which any user may make where the system lets them.
WAYS = (["unshare", "--net", "--mount"], ["unshare", "--user", "--map-root-user", "--net", "--mount"])
PROBE = "ip link set lo up && ip link add probe0 type veth peer name probe1 && unshare --net --mount --uts true"


class Impossible(Exception):
    """This machine cannot have the laboratory; the text says why."""


def give_up(reason: Impossible, environment: Mapping[str, str]) -> NoReturn:
    """Skip with the reason; but in CI, where nobody reads why a test was skipped, fail."""
    if environment.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"CI must not skip the laboratory: {reason}")
    pytest.skip(str(reason))


def find_way() -> list[str]:
    """Return the command that gives a program namespaces of its own. Raises Impossible."""
    missing = [program for program in PROGRAMS if services.find(program) is None]
    if missing:
        raise Impossible(f"not installed: {', '.join(missing)} (python tests/lab/setup_lab.py)")
    reasons = []
    for way in WAYS if os.geteuid() == 0 else WAYS[1:]:
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{services.SYSTEM_PATH}"}
        probe = subprocess.run(
            [*way, "sh", "-c", PROBE], capture_output=True, text=True, check=False, env=environment, timeout=30
        )
        if probe.returncode == 0:
            return way
        reasons.append(f"{' '.join(way)}: {probe.stderr.strip() or probe.returncode}")
    raise Impossible("network namespaces cannot be made here: " + "; ".join(reasons))


@dataclass
class Outcome:
    """What came of a case."""

    status: int
    timed_out: bool
    output: str
    errors: str
    drops: int
    outside: str
    loopback: str

    @cached_property
    def report(self) -> dict[str, Any]:
        """What the case says: `raised`, `reason`, `message` and `result`."""
        lines = self.output.strip().splitlines()
        if self.status or self.timed_out or not lines:
            raise AssertionError(f"the case did not report: {self}")
        report: dict[str, Any] = json.loads(lines[-1])
        return report

    @cached_property
    def wire(self) -> Wire:
        """What arrived at outside."""
        return Wire.read(Path(self.outside))

    @cached_property
    def loopback_wire(self) -> Wire:
        """What was on the loopback interface of inside."""
        return Wire.read(Path(self.loopback))

    def __str__(self) -> str:
        """Everything a failed assertion should tell."""
        end = "timed out" if self.timed_out else f"status {self.status}"
        wire = "".join(f"\n    {line}" for line in self.wire.lines())
        return f"{end}\n{self.output}{self.errors}\n  on the wire ({self.outside}):{wire or ' nothing'}"


class Lab:
    """Two hosts and a wire between them."""

    def __init__(self, way: list[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="egressguard-lab-"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate = authority.issue_cert(*addresses.TLS_NAMES)
        certificate.private_key_and_cert_chain_pem.write_to_path(self.folder / "server.pem")
        self.outside = Worker([*way, "--", *python("outside", str(self.folder))], self.folder / "laboratory.log")
        try:
            self.outside.receive()
        except Exception as error:
            logs = "".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))
            self.close()
            raise Impossible(f"the laboratory does not come up: {error}\n{logs}") from error
        self.count = 0

    def run(
        self,
        code: str,
        *,
        guard: bool,
        allow: tuple[str, ...] | None = None,
        before: str = "",
        resolv: str = BY_DNSMASQ,
        hosts: str = HOSTS_FILE,
        rules: Mapping[str, Mapping[str, Any]] | None = None,
        environment: dict[str, str] | None = None,
        timeout: float = 40,
    ) -> Outcome:
        """Run code in a fresh process of inside, and read the wire.

        `before` runs before the guard is installed; `resolv` and `hosts` are what the process finds in /etc; `rules`
        are those of the scripted name server. No environment variable but the given ones reaches the process.
        """
        self.count += 1
        folder = self.folder / f"case-{self.count}"
        (folder / "etc").mkdir(parents=True)
        (folder / "etc" / "resolv.conf").write_text(resolv)
        (folder / "etc" / "hosts").write_text(hosts)
        (folder / "etc" / "nsswitch.conf").write_text("hosts: files dns\nservices: files\nprotocols: files\n")
        content = {"guard": guard, "allow": allow, "before": before, "code": code}
        (folder / "case.json").write_text(json.dumps(content))
        authority = str(self.folder / "ca.pem")
        trusted = {"SSL_CERT_FILE": authority, "REQUESTS_CA_BUNDLE": authority, "LAB_CA": authority}
        case = {"folder": str(folder), "timeout": timeout, "environment": {**trusted, **(environment or {})}}
        outcome = Outcome(**self.outside.ask(case=case, rules=rules or {}))
        if outcome.drops:
            raise AssertionError(f"the capture lost {outcome.drops} frames, so it proves nothing: {outcome}")
        return outcome

    def close(self) -> None:
        """End both hosts. The namespaces end with the last process in them."""
        self.outside.end()
        shutil.rmtree(self.folder, ignore_errors=True)
