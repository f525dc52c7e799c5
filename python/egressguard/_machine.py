"""The posture of the machine: what an unprivileged process can read of what else guards it, or gets past.

Nothing here opens a socket, starts a program or asks a name server. Everything that cannot be read says so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROC = Path("/proc")
SECCOMP = {"0": "off", "1": "strict", "2": "filter"}
YAMA = {
    "0": "0: any process of this user may read this one's memory",
    "1": "1: only a parent may trace its children",
    "2": "2: only with CAP_SYS_PTRACE",
    "3": "3: nobody may trace",
}
IO_URING = {
    "0": "0: anybody may use it, past every check of a system call's arguments",
    "1": "1: only CAP_SYS_ADMIN and one group",
    "2": "2: off",
}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "ws_proxy", "wss_proxy", "no_proxy")


def text_of(path: Path) -> str | None:
    """Return the stripped text of a file, or None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace").strip()
    except OSError:
        return None


def _status() -> dict[str, str]:
    text = text_of(PROC / "self/status") or ""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def network_namespace() -> str | None:
    """Return the identity of the network namespace, such as ``net:[4026531840]``."""
    try:
        return str((PROC / "self/ns/net").readlink())
    except OSError:
        return None


def _setting(path: str, words: dict[str, str], missing: str) -> str:
    value = text_of(PROC / "sys/kernel" / path)
    return missing if value is None else words.get(value, value)


def _landlock() -> str:
    modules = text_of(Path("/sys/kernel/security/lsm"))
    if modules is None:
        return "not known: /sys/kernel/security/lsm cannot be read"
    return "on" if "landlock" in modules.split(",") else "off"


def _packet_filters() -> dict[str, str]:
    """Say which filters the kernel has loaded. Their rules are readable with CAP_NET_ADMIN alone."""
    modules = {line.split()[0] for line in (text_of(PROC / "modules") or "").splitlines()}
    told = {}
    for name, module, tables in (
        ("nftables", "nf_tables", None),
        ("iptables", "ip_tables", "ip_tables_names"),
        ("ip6tables", "ip6_tables", "ip6_tables_names"),
    ):
        loaded = module in modules or Path("/sys/module", module).exists()
        names = None if tables is None else text_of(PROC / "self/net" / tables)
        if names:
            told[name] = f"tables in use here: {', '.join(names.split())}"
        elif loaded:
            told[name] = "loaded; whether it has rules here cannot be read without CAP_NET_ADMIN"
        else:
            told[name] = "not loaded as a module"
    return told


def proxies() -> dict[str, str]:
    """Return the proxy variables of the environment, passwords left out. The guard reads none of them."""
    told = {}
    for name, value in os.environ.items():
        if name.lower() in PROXIES and value:
            bare = value.rpartition("@")[2] if "@" in value else value
            scheme = urlsplit(value).scheme if "://" in value else ""
            told[name] = f"{scheme}://...@{bare}" if "@" in value else value
    return told


def of_machine() -> dict[str, Any]:
    """Return what the operating system says about this process and this machine."""
    status = _status()
    return {
        "network_namespace": network_namespace() or "cannot be read",
        "seccomp": SECCOMP.get(status.get("Seccomp", ""), "cannot be read"),
        "seccomp_filters": int(status["Seccomp_filters"]) if "Seccomp_filters" in status else None,
        "no_new_privileges": {"0": False, "1": True}.get(status.get("NoNewPrivs", "")),
        "capabilities": status.get("CapEff", "cannot be read"),
        "landlock": _landlock(),
        "packet_filters": _packet_filters(),
        "io_uring": _setting("io_uring_disabled", IO_URING, "this kernel has no switch for it (before Linux 6.6)"),
        "yama": _setting("yama/ptrace_scope", YAMA, "absent: any process of this user may read this one's memory"),
        "proxies": proxies(),
    }
