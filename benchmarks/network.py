"""The network that is measured in: namespaces of its own, made by `unshare`, gone with the process.

NEAR is behind a pair of interfaces whose other end drops everything: what is left is what a dial costs here. FAR is
another namespace with nginx, behind a second pair. No packet leaves the machine, and the guard sees no loopback.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.contenders import FAR, LISTED_NAME, NEAR, PORT, WEB_PORT

INSIDE = "--inside-namespace"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen {far}:{port} backlog=4096; location / {{ return 200 "hello, world\\n"; }} }}
}}
"""


def enter(module: str, arguments: Sequence[str]) -> int:
    """Run the module again in namespaces of its own and return its exit status."""
    users = ["-r", "-U"] if os.geteuid() else []
    python = [sys.executable, "-m", module, INSIDE, *arguments]
    return subprocess.run(["unshare", *users, "-n", "-m", "--kill-child", "--", *python], check=False).returncode


def run(*words: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(words, check=True, env={**os.environ, "PATH": PATH})


def near(folder: Path) -> None:
    """Make NEAR, and the /etc/hosts that names it."""
    run("ip", "link", "set", "lo", "up")
    # Tens of thousands of connections to one address: their ports are used again at once.
    Path("/proc/sys/net/ipv4/tcp_tw_reuse").write_text("1")
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("1024 65535")
    run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "near1")
    run("ip", "addr", "add", "192.0.2.2/24", "dev", "near0")
    run("ip", "link", "set", "near0", "up")
    run("ip", "link", "set", "near1", "up")
    run("ip", "neigh", "add", NEAR, "lladdr", "02:00:00:00:00:01", "dev", "near0")
    run("ip", "route", "add", "10.0.0.0/8", "via", NEAR)
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{NEAR} {LISTED_NAME}\n")
    run("mount", "--bind", str(hosts), "/etc/hosts")


@contextlib.contextmanager
def far(folder: Path) -> Iterator[bool]:
    """Make FAR with nginx in it; yields whether there is one."""
    if shutil.which("nginx", path=PATH) is None:
        print("nginx is not here: nothing is measured over TCP", flush=True)
        yield False
        return
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, far=FAR, port=WEB_PORT))
    # The server waits until its interface is there; `read` ends when the pipe closes.
    script = (
        f"read _ && ip link set lo up && ip addr add {FAR}/24 dev far1 && ip link set far1 up && "
        f"exec taskset -c {min(os.sched_getaffinity(0))} nginx -p {folder} -c {config}"
    )
    server = subprocess.Popen(
        ["unshare", "-n", "--", "sh", "-c", script], stdin=subprocess.PIPE, text=True, env={**os.environ, "PATH": PATH}
    )
    assert server.stdin is not None
    try:
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + 10
        while Path(f"/proc/{server.pid}/ns/net").readlink() == own and time.monotonic() < deadline:
            time.sleep(0.01)
        run("ip", "link", "add", "far0", "type", "veth", "peer", "name", "far1")
        run("ip", "link", "set", "far1", "netns", str(server.pid))
        run("ip", "addr", "add", "198.51.100.2/24", "dev", "far0")
        run("ip", "link", "set", "far0", "up")
        server.stdin.write("go\n")
        server.stdin.flush()
        wait_for_server()
        yield True
    finally:
        server.kill()
        server.wait()


def wait_for_server() -> None:
    """Return once FAR answers."""
    import socket

    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection((FAR, WEB_PORT), 1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers on {FAR}:{WEB_PORT}")
        time.sleep(0.02)


@contextlib.contextmanager
def made() -> Iterator[bool]:
    """Make both; yields whether FAR is there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        near(folder)
        try:
            with far(folder) as there:
                yield there
        finally:
            run("umount", "/etc/hosts")


__all__ = ["INSIDE", "PORT", "enter", "made"]
