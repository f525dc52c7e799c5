"""A machine of its own for CPython's tests: a network, a host name and files in /etc that are the same everywhere.

Only `lo` is there, with one more address that the host name resolves to, as on most machines; nobody answers at the
name server's address. The tests run without privileges: those for root would change the machine, and CPython leaves out
others for root. Made of namespaces, so that nothing outside them is touched.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from tools.project import Problem

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # where `ip` and `mount` are; a person's PATH may leave it out
HOST_NAME, OWN_ADDRESS = "cpython-tests", "192.0.2.10"  # RFC 5737: nobody's
ETC = {
    "hosts": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{OWN_ADDRESS} {HOST_NAME}\n",
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "nsswitch.conf": "hosts: files dns\nservices: files\nprotocols: files\npasswd: files\ngroup: files\n",
}
# In the namespaces, as their root: $1 is the folder that ETC was written to, the rest is what to run.
SET_UP = f"""
set -e
search=$PATH etc=$1
PATH={SYSTEM_PATH}
shift
for file in {" ".join(ETC)}; do mount --bind "$etc/$file" "/etc/$file"; done
hostname {HOST_NAME}
ip link set lo up
ip address add {OWN_ADDRESS}/24 dev lo
PATH=$search
exec "$@"
"""
# A user namespace needs no privileges, and a second one in it drops those that the first gave; for root where user
# namespaces are switched off, the tests run as root.
WAYS: tuple[tuple[list[str], list[str]], ...] = (
    (["unshare", "-Urnmu"], ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]),
    (["unshare", "-nmu"], []),
)


def write_etc(folder: Path) -> None:
    """Write the files that take the place of those in /etc."""
    for name, text in ETC.items():
        (folder / name).write_text(text)


def inside(way: tuple[list[str], list[str]], etc: Path, *command: object) -> list[object]:
    """Return the command that runs another one on the machine of its own."""
    return [*way[0], "sh", "-c", SET_UP, "sh", etc, *way[1], *command]


@cache
def find_way(etc: Path) -> tuple[list[str], list[str]]:
    """Return how namespaces are made here. Raises Problem where they cannot be."""
    reasons = []
    for way in WAYS if os.geteuid() == 0 else WAYS[:1]:
        command = [str(word) for word in inside(way, etc, "true")]
        try:
            child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        except OSError as error:
            reasons.append(str(error))
            continue
        if child.returncode == 0:
            return way
        reasons.append(f"{' '.join(way[0])}: {child.stderr.strip()}")
    raise Problem(f"no network namespace can be made here ({'; '.join(reasons)})")
