"""The agent of the host `inside`: it starts the process of each case, and puts fences on the wire.

Started by outside in a network and UTS namespace of its own; every case gets a mount namespace of its own besides, in
which the files that say how names are resolved are those of the case.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from labtools.addresses import FENCE_PORT, HOST_NAME, OUTSIDE
from labtools.processes import HERE, Worker, die_with_parent, python, serve

# What the private mount namespace shows of each file. Over a path that this machine does not have nothing can be
# mounted; then the default of the C library holds, which is what the laboratory wants too.
MOUNTS = (
    'for name in "$0"/*; do [ ! -e "/etc/${name##*/}" ] || mount --bind "$name" "/etc/${name##*/}" || exit 97; done'
)
SETTINGS = {
    "ping_group_range": "0 0",  # ICMP through a datagram socket is an attack too: let it be possible
}
QUIET_STATES = {"06", "0A"}  # TIME_WAIT says nothing any more, LISTEN never did


class Inside:
    """The capture on loopback, and the fence's socket."""

    def __init__(self) -> None:
        socket.sethostname(HOST_NAME)
        self.capture: Worker | None = None

    def start(self) -> None:
        """Begin to capture: outside has made the links by now."""
        for name, value in SETTINGS.items():
            with contextlib.suppress(OSError):  # the rows that need one tell where it is missing
                Path("/proc/sys/net/ipv4", name).write_text(value)
        self.capture = Worker(python("capture", "lo"))
        self.capture.receive()
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("127.0.0.1", FENCE_PORT))
        self.fences = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for name in ("lo", "wire0"):
            settle(name)

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request of outside."""
        if request["do"] == "start":
            self.start()
            return {"started": True}
        if request["do"] == "fence":
            return self.fence(request["token"], request["path"])
        return run(request["case"])

    def fence(self, token: str, path: str | None) -> dict[str, Any]:
        """Send the token over both interfaces, behind whatever the case has sent."""
        assert self.capture is not None
        self.capture.send(token=token, path=path)
        for address in (OUTSIDE, "127.0.0.1"):
            self.fences.sendto(token.encode(), (address, FENCE_PORT))
        self.sink.recv(100)
        answer: dict[str, Any] = self.capture.receive()
        return answer


def settle(interface: str) -> None:
    """Wait until the kernel has checked the interface's link-local address: that is no frame of a case."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = Path("/proc/self/net/if_inet6").read_text().splitlines()
        # address, index, prefix length, scope, flags, name; 0x40 is "tentative"
        if not any(int(line.split()[4], 16) & 0x40 for line in lines if line.endswith(interface)):
            return
        time.sleep(0.05)


def lingering() -> int:
    """Count the TCP connections that could still send something."""
    count = 0
    for name in ("tcp", "tcp6"):
        lines = Path("/proc/self/net", name).read_text().splitlines()[1:]
        count += sum(line.split()[3] not in QUIET_STATES for line in lines)
    return count


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Run the process of a case and return how it ended, once its connections are closed."""
    folder = Path(case["folder"])
    command = ["unshare", "--mount", "--", "sh", "-c", f'{MOUNTS}; exec "$@"', str(folder / "etc")]
    command += [sys.executable, "-I", str(HERE / "case_main.py"), str(folder / "case.json")]
    # A group of its own: what the case has started itself ends with it.
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**case["environment"], "HOME": str(folder), "PATH": os.environ.get("PATH", os.defpath)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    timed_out = False
    try:
        output, errors = process.communicate(timeout=case["timeout"])
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 2
    while lingering() and time.monotonic() < deadline:
        time.sleep(0.005)
    return {
        "status": process.returncode,
        "timed_out": timed_out,
        "output": output.decode(errors="replace"),
        "errors": errors.decode(errors="replace"),
    }


def main() -> None:
    """Serve until outside closes the pipe."""
    die_with_parent()
    inside = Inside()
    print(json.dumps({"ready": True}), flush=True)
    serve(inside)
    if inside.capture is not None:
        inside.capture.end()


if __name__ == "__main__":
    main()
