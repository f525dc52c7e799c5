"""The wire as the tests see it: run a command inside, read what arrived outside."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMESERVER, INSIDE, LISTED, EVIL, SILENT = "10.88.0.1", "10.88.0.2", "203.0.113.10", "198.51.100.66", "203.0.113.250"
ALLOW = (
    "api.test:443",
    "alias.test:443",
    "many.test:443",
    "rebind.test:443",
    "changing.test:443",
    "direct.test:443",
    "silent.test:8443",
    "slow.test:8444",
    "metadata.test:443",
    "203.0.113.10:80",
)

INNER = """
ip link set lo up && mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/hosts" /etc/hosts &&
mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && echo 0 0 >/proc/sys/net/ipv4/ping_group_range && echo ready && exec sleep infinity
"""
OUTER = """
ip link set lo up && ip link add wire0 type veth peer name wire1 netns "$1" && ip addr add 10.88.0.1/24 dev wire0 &&
ip link set wire0 up && ip addr add 203.0.113.10/32 dev lo && ip addr add 203.0.113.100/32 dev lo &&
ip addr add 198.51.100.66/32 dev lo && ip route add local 203.0.113.192/28 dev lo && ip route add 10.88.0.0/24 dev wire0 2>/dev/null;
nsenter --net="/proc/$1/ns/net" sh -c 'ip addr add 10.88.0.2/24 dev wire1 && ip link set wire1 up &&
ip route add default via 10.88.0.1' && exec "$2" "$3" "$4"
"""


LISTED_NAMES = {entry.partition(":")[0] for entry in ALLOW if entry.startswith(tuple("abcdefghijklmnopqrstuvwxyz"))}


def besides_listed_names(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the questions for listed names: a dial of an address makes the guard ask for those of its port."""
    return [
        event
        for event in events
        if event.get("name") not in LISTED_NAMES and (event["kind"], event.get("port")) != ("tcp", 53)
    ]


class Impossible(Exception):
    """This machine cannot have the wire; the text says why."""


class Wire:
    """Two namespaces, ended with the processes that hold them."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
            raise Impossible("network namespaces need root, ip and nsenter")
        self.folder = Path(tempfile.mkdtemp(prefix="egressguard-kernel-"))
        self.log = self.folder / "log"
        self.log.touch()
        (self.folder / "resolv.conf").write_text(f"nameserver {NAMESERVER}\noptions timeout:2 attempts:1\n")
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n203.0.113.100 many.test\n")
        (self.folder / "nsswitch.conf").write_text("hosts: files dns\n")
        self.inner = self.start(["unshare", "--net", "--mount", "sh", "-c", INNER, str(self.folder)])
        self.outer = self.start(
            ["unshare", "--net", "sh", "-c", OUTER, "sh", str(self.inner.pid), sys.executable, str(HERE / "world.py")]
            + [str(self.log)]
        )

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        errors = (self.folder / "errors").open("a")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.close()
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            process.kill()
            process.wait()
            process.stdout.close()
            if hasattr(self, "inner"):
                self.inner.kill()
            raise Impossible("namespaces cannot be made here: " + (self.folder / "errors").read_text())
        return process

    def command(self, command: list[str]) -> list[str]:
        """Return the command that runs inside."""
        inner = f"/proc/{self.inner.pid}/ns"
        return ["nsenter", f"--net={inner}/net", f"--mount={inner}/mnt", "--wdns=" + os.getcwd(), "--", *command]

    def run(self, command: list[str], timeout: float = 40, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, whatever its status. A group of its own: nothing of it is left."""
        process = subprocess.Popen(
            self.command(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **options.pop("env", {})},
            **options,
        )
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            errors += "\n(timed out)"
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def events(self) -> list[dict[str, Any]]:
        """Return what arrived since the last call. A fence makes sure that nothing is still on its way."""
        token = secrets.token_hex(8)
        fence = f"import socket; socket.socket(2, 2).sendto(b'{token}', ('{LISTED}', 9))"
        subprocess.run(self.command([sys.executable, "-Ic", fence]), check=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            lines = [json.loads(line) for line in self.log.read_text().splitlines()]
            if any(line.get("data") == token for line in lines):
                os.truncate(self.log, 0)
                return [line for line in lines if line.get("data") != token]
            time.sleep(0.01)
        raise AssertionError("the fence did not arrive")

    def close(self) -> None:
        """End both namespaces."""
        for process in (self.outer, self.inner):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
