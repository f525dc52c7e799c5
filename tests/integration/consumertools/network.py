"""A network of its own, with nothing but `lo`, for servers and the clients that dial them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import children

SECONDS = 60.0


class Network:
    """A namespace that lives as long as a process in it that waits on our pipe: should we die, it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        inner = "ip link set lo up && echo ready && exec cat"
        self.holder = subprocess.Popen(
            [*command, "sh", "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{command} gave no network")
        user = [f"--user=/proc/{self.holder.pid}/ns/user", "--preserve-credentials"] if "-Urn" in command else []
        self.enter = ["nsenter", *user, f"--net=/proc/{self.holder.pid}/ns/net", "--"]
        self.servers: list[Server] = []

    def run(
        self,
        command: Sequence[object],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        seconds: float = SECONDS,
    ) -> children.Child:
        """Run a program in it to its end."""
        return children.start([*self.enter, *map(str, command)], env=env, cwd=cwd, seconds=seconds)

    def python(self, script: Path, *arguments: object, env: Mapping[str, str] | None = None) -> children.Child:
        """Run a script of ours in it; it finds `inside` and the modules beside it."""
        path = f"{children.SUPPORT}{os.pathsep}{script.parent}"
        return self.run([sys.executable, script, *arguments], env={"PYTHONPATH": path, **(env or {})})

    def start(self, folder: Path, *command: object, env: Mapping[str, str] | None = None) -> Server:
        """Start a server in it."""
        server = Server([*self.enter, "setpriv", "--pdeathsig", "KILL", *map(str, command)], folder, env)
        self.servers.append(server)
        return server

    def wait_for_port(self, server: Server, port: int) -> None:
        """Wait until the server listens; nothing is dialled to find out."""
        wanted = f":{port:04X} "
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for table in ("tcp", "tcp6"):
                lines = Path(f"/proc/{self.holder.pid}/net/{table}").read_text().splitlines()
                if any(line.split()[3] == "0A" and wanted in line.split()[1] + " " for line in lines[1:]):
                    return
            server.must_run()
            time.sleep(0.05)
        raise TimeoutError(f"nothing listens on port {port}\n{server.output()}")

    def close(self) -> None:
        """End every server, then the network."""
        for server in self.servers:
            server.end()
        assert self.holder.stdin is not None
        assert self.holder.stdout is not None
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


class Server:
    """A process of the network, its output in a file."""

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str] | None) -> None:
        self.log = folder / "server.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=children.environment(env),
                start_new_session=True,
            )

    def output(self) -> str:
        """Return what it printed, the end of it."""
        return self.log.read_text(errors="replace")[-4000:]

    def wait_for(self, text: str) -> None:
        """Wait until it printed this."""
        end = time.monotonic() + SECONDS
        while text not in self.output():
            self.must_run()
            if time.monotonic() > end:
                raise TimeoutError(f"no {text!r} from the server\n{self.output()}")
            time.sleep(0.05)

    def must_run(self) -> None:
        """Raise where it ended by itself."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}\n{self.output()}")

    def end(self) -> None:
        """End it and whatever it started: a group of its own, by its number."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
