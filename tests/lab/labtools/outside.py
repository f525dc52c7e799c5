"""The host `outside`: it makes the wire and the other host, runs the servers, and obeys requests.

`outside.py FOLDER`, started in a network and mount namespace of its own. Everything of the laboratory descends from
this process and ends with it, and so do its namespaces: nothing has a name that could be left behind.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from labtools import addresses, services
from labtools.processes import Worker, die_with_parent, python, serve

OUTER_LINK, INNER_LINK = "02:00:00:00:00:01", "02:00:00:00:00:02"
INTERFACE = "wire0"

# In outside every address in the world ends here, but for those that stand for dead hosts. "throw" goes on to the next
# table, where the wire is; the needless rule is there because only then the kernel keeps the two tables apart. Link
# addresses are fixed, so that neighbours need not be looked for and a solicitation on the wire means something.
OUTSIDE = """
link set lo up
link add {interface} address {outer} type veth peer name {interface} address {inner} netns {inside}
addr add 10.77.0.1/24 dev {interface}
addr add 10.77.0.53/24 dev {interface}
addr add 10.77.0.54/24 dev {interface}
-6 addr add fd77::1/64 dev {interface} nodad
-6 addr add fd77::53/64 dev {interface} nodad
-6 addr add fd77::54/64 dev {interface} nodad
link set {interface} up
neigh add 10.77.0.2 lladdr {inner} nud permanent dev {interface}
-6 neigh add fd77::2 lladdr {inner} nud permanent dev {interface}
rule add pref 40000 lookup main
route add local default dev lo table local
-6 route add local ::/0 dev lo table local
route add throw 10.77.0.0/24 table local
-6 route add throw fd77::/64 table local
-6 route add throw fe80::/64 table local
route add blackhole {silent} table local
-6 route add blackhole {silent6} table local
route add throw {closed} table local
-6 route add throw {closed6} table local
"""
# A third host, behind outside. That its refusal is a packet matters: an ICMP error that arrives while the kernel is
# still inside connect() is forgotten, and on a wire without any delay it does.
BEHIND = """
link add behind0 type veth peer name behind0 netns {closed_host}
addr add 10.78.0.1/24 dev behind0
-6 addr add fd78::1/64 dev behind0 nodad
link set behind0 up
route add throw 10.78.0.0/24 table local
-6 route add throw fd78::/64 table local
route add {closed} via 10.78.0.2 dev behind0
-6 route add {closed6} via fd78::2 dev behind0
"""
CLOSED = """
link set lo up
addr add 10.78.0.2/24 dev behind0
-6 addr add fd78::2/64 dev behind0 nodad
addr add {closed}/32 dev lo
-6 addr add {closed6}/128 dev lo
link set behind0 up
route add default via 10.78.0.1
-6 route add default via fd78::1
"""
INSIDE = """
link set lo up
addr add 10.77.0.2/24 broadcast + dev {interface}
-6 addr add fd77::2/64 dev {interface} nodad
link set {interface} up
neigh add 10.77.0.1 lladdr {outer} nud permanent dev {interface}
neigh add 10.77.0.53 lladdr {outer} nud permanent dev {interface}
neigh add 10.77.0.54 lladdr {outer} nud permanent dev {interface}
-6 neigh add fd77::1 lladdr {outer} nud permanent dev {interface}
-6 neigh add fd77::53 lladdr {outer} nud permanent dev {interface}
-6 neigh add fd77::54 lladdr {outer} nud permanent dev {interface}
route add default via 10.77.0.1
-6 route add default via fd77::1
"""
SETTINGS = {
    "net/ipv4/ip_forward": "1",  # to the host behind
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/accept_dad": "0",  # nobody else can have the addresses: do not wait a second to find out
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv6/conf/all/seg6_enabled": "1",  # a source route has to reach somebody
    "net/ipv4/conf/all/accept_source_route": "1",
    "net/ipv6/ip_nonlocal_bind": "1",  # else an echo may not answer from the address that was asked
    "net/core/somaxconn": "4096",
}


def configure(commands: str, prefix: list[str], **values: object) -> None:
    """Run lines of `ip`, one process for each: with `-batch` an error does not say which line it was."""
    known = {name.lower(): value for name, value in vars(addresses).items() if name.isupper()}
    known |= {"interface": INTERFACE, "outer": OUTER_LINK, "inner": INNER_LINK}
    for line in commands.strip().format(**{**known, **values}).splitlines():
        command = [*prefix, services.find("ip") or "ip", *line.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ip {line}: {done.stderr.strip()}")


class Outside:
    """The servers, the capture on this end of the wire, and the agent of inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        log = folder / "laboratory.log"
        # /proc/self/net belongs to the namespace, but /proc/sys/net too: the kernel looks at who opens it.
        for name, value in SETTINGS.items():
            with contextlib.suppress(OSError):  # not every kernel has every one; test_laboratory tells what works
                Path("/proc/sys", name).write_text(value)
        self.inside = Worker(["unshare", "--net", "--uts", "--", *python("inside")], log)
        self.inside.receive()
        configure(OUTSIDE, [], inside=self.inside.process.pid)
        configure(INSIDE, ["nsenter", f"--net=/proc/{self.inside.process.pid}/ns/net"])
        self.behind = Worker(
            ["unshare", "--net", "--", "setpriv", "--pdeathsig", "KILL", "sh", "-c", "echo {}; read _"]
        )
        self.behind.receive()
        configure(BEHIND, [], closed_host=self.behind.process.pid)
        configure(CLOSED, ["nsenter", f"--net=/proc/{self.behind.process.pid}/ns/net"])
        self.capture = Worker(python("capture", INTERFACE), log)
        self.nameserver = Worker(python("nameserver", addresses.SCRIPTED, addresses.SCRIPTED6), log)
        self.backend = Worker(python("backend"), log)
        self.servers = [services.start_nginx(folder), services.start_dnsmasq(folder)]
        services.wait_for_port(addresses.OUTSIDE, 443, self.servers[0])
        services.wait_for_port(addresses.DNSMASQ, 53, self.servers[1])
        for worker in (self.capture, self.nameserver, self.backend):
            worker.receive()
        self.inside.ask(do="start")

    def fence(self, outside: str | None, loopback: str | None) -> dict[str, int]:
        """Cut both captures at this moment, and return what the kernel could not record."""
        token = f"fence-{secrets.token_hex(12)}"
        self.capture.send(token=token, path=outside)
        drops = self.inside.ask(do="fence", token=token, path=loopback)["drops"]
        return {"drops": int(drops) + int(self.capture.receive()["drops"])}

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one case: its rules, its files, its process, and what was on the wire from its start to its end."""
        for server in self.servers:
            if server.poll() is not None:
                raise RuntimeError(f"{server.args!r} ended with {server.returncode}")
        self.count += 1
        outside, loopback = (self.folder / f"case-{self.count}-{name}.pcap" for name in ("outside", "loopback"))
        self.nameserver.ask(rules=request["rules"])
        self.fence(None, None)
        answer: dict[str, Any] = self.inside.ask(do="run", case=request["case"])
        self.nameserver.ask(rules={})  # late answers would make inside speak after the end of its case
        return {**answer, **self.fence(str(outside), str(loopback)), "outside": str(outside), "loopback": str(loopback)}

    def end(self) -> None:
        """End what this process has started, the servers last: nobody else would wait for them."""
        for worker in (self.inside, self.behind, self.capture, self.nameserver, self.backend):
            worker.end()
        for server in self.servers:
            server.kill()
            server.wait()


def main() -> None:
    """Build the laboratory and serve until the input ends."""
    die_with_parent()
    try:
        outside = Outside(Path(sys.argv[1]))
    except Exception as error:  # pytest shows it; a laboratory that cannot be built must say why
        print(json.dumps({"broken": f"{type(error).__name__}: {error}"}), flush=True)
        raise
    print(json.dumps({"ready": True}), flush=True)
    serve(outside)
    outside.end()


if __name__ == "__main__":
    main()
