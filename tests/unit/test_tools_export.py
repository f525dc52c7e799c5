"""`egressguard export`: accepted by the real consumer where one can be had, and nothing dropped in silence."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import children
import pytest

ALLOW = (
    "api.anthropic.com:443",
    "*.example.com:8000-8010",
    "203.0.113.0/24:443",
    "198.51.100.7:53",
    "[2001:db8::7]:*",
    "[2001:db8:1::/48]:443",
    "unix:/run/app.sock",
    "unix:@abstract",
)
FORMATS = ("nftables", "networkpolicy", "cilium", "systemd")
NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
# What the published CRD of CiliumNetworkPolicy asks of the parts that are used: FQDNSelector, PortRule and PortProtocol.
# The CRD itself comes with Cilium alone, by no registry that a test could install it from.
PORTS_MAX, NAME_MAX = 40, 255
MATCH_NAME = re.compile(r"([-a-zA-Z0-9_]+[.]?)+")
MATCH_PATTERN = re.compile(r"([-a-zA-Z0-9_*]+[.]?)+")


def export(*arguments: str, allow: tuple[str, ...] = ALLOW) -> children.Child:
    """Run the export."""
    words = [word for entry in allow for word in ("--allow", entry)]
    return children.start([sys.executable, "-P", "-m", "egressguard.cli", "export", *words, *arguments])


@pytest.mark.parametrize("target", FORMATS)
def test_every_entry_is_expressed_or_told_on_both_channels(target: str) -> None:
    child = export("--format", target)
    assert child.code == 0
    for entry in ALLOW:
        host = entry.rpartition(":")[0].strip("[]").removeprefix("*.").removesuffix("/128")
        expressed = host in "".join(line for line in child.out.splitlines() if not line.startswith("#"))
        told = f"NOT EXPRESSED: {entry}:" in child.out and f"not expressed: {entry}:" in child.err
        assert expressed != told, entry


@pytest.mark.parametrize("target", FORMATS)
def test_strict_fails_where_something_is_not_exact(target: str) -> None:
    assert export("--format", target, "--strict").code == 1


@pytest.mark.parametrize("target", ["nftables", "networkpolicy", "cilium"])
def test_strict_passes_where_all_is_exact(target: str) -> None:
    child = export("--format", target, "--strict", allow=("203.0.113.7:443",))
    assert (child.code, child.err) == (0, "")


def test_systemd_says_that_it_knows_no_port() -> None:
    child = export("--format", "systemd", allow=("203.0.113.7:443", "203.0.113.8:*"))
    assert "# WIDER HERE: 203.0.113.7:443:" in child.out
    assert "203.0.113.8" not in child.err


def test_cilium_says_that_its_star_is_one_label() -> None:
    child = export("--format", "cilium", allow=("*.example.com:443",))
    assert 'matchPattern: "*.example.com"' in child.out
    assert "# NARROWER HERE: *.example.com:443:" in child.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "a b"],
        ["--namespace", "A"],
        ["--select", "x"],
        ["--allow", "127.0.0.1:80"],
        ["--allow-file", "/missing"],
    ],
)
def test_bad_arguments_are_status_2(arguments: list[str]) -> None:
    child = export("--format", "networkpolicy", *arguments, allow=())
    assert (child.code, child.out) == (2, "")


# ---- the real consumers ----


def in_namespace(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a network of its own."""
    return subprocess.run([*children.namespace(), *command], capture_output=True, text=True, check=False)


@pytest.mark.skipif(NFT is None, reason="no nft")
@pytest.mark.parametrize("allow", [ALLOW, (), ("api.anthropic.com:443",)], ids=["all", "empty", "names alone"])
def test_nft_accepts_it(tmp_path: Path, own_network: None, allow: tuple[str, ...]) -> None:
    file = tmp_path / "rules.nft"
    file.write_text(
        export(
            "--format", "nftables", "--name", "my-app", *(["--allow-file", "/dev/null"] * (not allow)), allow=allow
        ).out
    )
    done = in_namespace(str(NFT), "-c", "-f", str(file))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(NFT is None, reason="no nft")
def test_nft_loads_it_twice_and_enforces_it(tmp_path: Path, own_network: None) -> None:
    """Loaded in a network of its own: a listed address is routed, an unlisted one is refused by the rules."""
    file = tmp_path / "rules.nft"
    file.write_text(export("--format", "nftables", allow=("203.0.113.7:443",)).out)
    source = """
import errno, socket, subprocess, sys
from inside import tell
def run(*words):
    subprocess.run(words, check=True)
run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
run("ip", "addr", "add", "192.0.2.1/24", "dev", "veth0")
run("ip", "link", "set", "veth1", "up")
run("ip", "link", "set", "veth0", "up")
run("ip", "route", "add", "default", "dev", "veth0")
def dial(host, port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(2)
    one.connect((host, port))
    try:
        one.send(b"x")
        one.send(b"x")
        return "sent"
    except OSError as error:
        return errno.errorcode[error.errno]
tell(dial("198.51.100.1", 443))
for _ in range(2):
    run(sys.argv[1], "-f", sys.argv[2])
tell([dial("203.0.113.7", 443), dial("203.0.113.7", 80), dial("198.51.100.1", 443)])
"""
    child = children.python_alone(source, NFT, file)
    if "'veth'" in child.err:
        pytest.skip("no virtual interface here")
    before, (listed, other_port, unlisted) = child.told()
    assert (before, listed) == ("sent", "sent")
    assert other_port != "sent"
    assert unlisted != "sent"


def parsed(target: str, *arguments: str, allow: tuple[str, ...] = ALLOW) -> dict[str, Any]:
    """Return the exported YAML as data."""
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load(export("--format", target, *arguments, allow=allow).out)
    return found


@pytest.mark.parametrize("allow", [ALLOW, ("api.anthropic.com:443",)], ids=["all", "names alone"])
def test_the_published_schema_of_kubernetes_accepts_the_policy(allow: tuple[str, ...]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    policy = parsed("networkpolicy", "--namespace", "prod", "--select", "app.kubernetes.io/name=agent", allow=allow)
    validator.validate(policy, "1.30", strict=True)
    assert policy["metadata"] == {"name": "egressguard", "namespace": "prod"}
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "agent"}}
    assert policy["spec"]["policyTypes"] == ["Egress"]


def test_the_policy_opens_exactly_the_addresses() -> None:
    rules = parsed("networkpolicy")["spec"]["egress"]
    opened = {rule["to"][0]["ipBlock"]["cidr"]: rule["ports"] for rule in rules}
    assert set(opened) == {"203.0.113.0/24", "198.51.100.7/32", "2001:db8::7/128", "2001:db8:1::/48"}
    assert opened["198.51.100.7/32"] == [{"protocol": "TCP", "port": 53}, {"protocol": "UDP", "port": 53}]
    assert opened["2001:db8::7/128"][0] == {"protocol": "TCP", "port": 1, "endPort": 65535}


def test_a_policy_without_an_address_denies_everything() -> None:
    assert parsed("networkpolicy", allow=("api.anthropic.com:443",))["spec"]["egress"] == []
    assert parsed("cilium", allow=("unix:/run/x",))["spec"]["egress"] == [{}]


def test_the_cilium_policy_is_what_its_schema_asks_for() -> None:
    policy = parsed("cilium", "--select", "app=agent")
    assert (policy["apiVersion"], policy["kind"]) == ("cilium.io/v2", "CiliumNetworkPolicy")
    assert policy["spec"]["endpointSelector"] == {"matchLabels": {"app": "agent"}}
    dns, *rules = policy["spec"]["egress"]
    assert set(dns) == {"toEndpoints", "toPorts"}
    assert dns["toPorts"][0]["ports"] == [{"port": "53", "protocol": "ANY"}]
    asked = dns["toPorts"][0]["rules"]["dns"]
    assert asked == [{"matchName": "api.anthropic.com"}, {"matchPattern": "*.example.com"}]
    for rule in rules:
        assert len({"toFQDNs", "toCIDR"} & set(rule)) == 1  # Cilium refuses both in one rule
        assert set(rule) <= {"toFQDNs", "toCIDR", "toPorts"}
        for name in rule.get("toFQDNs", ()):
            assert len(name) == 1
            assert all(len(text) <= NAME_MAX for text in name.values())
            assert MATCH_NAME.fullmatch(name.get("matchName", "x"))
            assert MATCH_PATTERN.fullmatch(name.get("matchPattern", "x"))
        for cidr in rule.get("toCIDR", ()):
            ipaddress.ip_network(cidr)
            assert "/" in cidr  # its pattern wants the length
        assert [set(one) for one in rule["toPorts"]] == [{"ports"}]
        assert len(rule["toPorts"][0]["ports"]) <= PORTS_MAX
        for port in rule["toPorts"][0]["ports"]:
            assert isinstance(port["port"], str)
            assert 1 <= int(port["port"]) <= port.get("endPort", 65535) <= 65535
            assert port["protocol"] in ("TCP", "UDP")


def test_systemd_accepts_the_drop_in(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze")
    unit = tmp_path / "egressguard-test.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    drop_in = tmp_path / "egressguard-test.service.d"
    drop_in.mkdir()
    (drop_in / "egress.conf").write_text(export("--format", "systemd").out)

    def verify() -> str:
        command = [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "\n".join(line for line in done.stderr.splitlines() if "egress" in line)

    assert verify() == ""
    (drop_in / "wrong.conf").write_text("[Service]\nIPAddressAllow=nonsense\n")
    assert "wrong.conf" in verify() or "nonsense" in verify() or "egressguard" in verify()  # it did read the drop-in


def test_systemds_list_is_the_addresses() -> None:
    lines = [line for line in export("--format", "systemd").out.splitlines() if not line.startswith("#")]
    assert lines[:2] == ["[Service]", "IPAddressDeny=any"]
    allowed = {line.partition("=")[2] for line in lines if line.startswith("IPAddressAllow=")}
    assert allowed == {"203.0.113.0/24", "198.51.100.7", "2001:db8::7", "2001:db8:1::/48"}
