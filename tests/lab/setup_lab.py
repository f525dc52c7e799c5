"""Install what the laboratory needs from the operating system: `python tests/lab/setup_lab.py`.

Standard library only. As root with apt it installs what is missing; else it says in one line what to install, and
exits with status 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SYSTEM_PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
POLICY = Path("/usr/sbin/policy-rc.d")


def program(name: str) -> Callable[[], bool]:
    """Return the question whether a program is here."""
    return lambda: shutil.which(name, path=SYSTEM_PATH) is not None


# Debian's package, and how to see that what it brings is here.
PACKAGES: dict[str, Callable[[], bool]] = {
    "iproute2": program("ip"),
    "util-linux": program("unshare"),
    "mount": program("mount"),
    "dnsmasq-base": program("dnsmasq"),  # the program without the service
    "nginx": program("nginx"),
    "netbase": Path("/etc/services").exists,
}


def missing_packages() -> list[str]:
    """Return the packages that are not here."""
    return [package for package, is_here in PACKAGES.items() if not is_here()]


def ensure_packages() -> str:
    """Make sure that everything is here. Returns an empty string, or the line that says what a person has to do."""
    missing = missing_packages()
    if not missing:
        return ""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return f"the laboratory needs: sudo apt-get install -y {' '.join(missing)}"
    # nginx brings a service, which nobody asked for: this file, where the machine has none, keeps it from starting.
    policy_is_ours = not POLICY.exists()
    if policy_is_ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        options = ["-y", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--no-install-recommends", *missing]):
            done = subprocess.run(
                ["apt-get", *options, *command], env=environment, capture_output=True, text=True, check=False
            )
    finally:
        if policy_is_ours:
            POLICY.unlink()
    still = missing_packages()
    return f"apt-get could not install {' '.join(still)}: {done.stderr.strip()[-500:]}" if still else ""


if __name__ == "__main__":
    problem = ensure_packages()
    print(problem or "the laboratory has what it needs")
    sys.exit(bool(problem))
