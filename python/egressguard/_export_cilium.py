"""The list as a CiliumNetworkPolicy (cilium.io/v2), which knows names: it reads the answers of the cluster's DNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from egressguard import _export
from egressguard._export import Exported, Order
from egressguard._export_kubernetes import metadata, selector

if TYPE_CHECKING:
    from egressguard._entries import Entry

REMARKS = (
    "it holds for every process of the selected pods, and loopback inside a pod stays open",
    "a name stays open for every address that the cluster's DNS answered, loopback and metadata addresses included",
)
ONE_LABEL = "Cilium's * stands for one label; deeper names below it are not opened (docs: DNS based policies)"
NAMESERVER = [
    "    - toEndpoints:",
    "        - matchLabels:",
    '            "k8s:io.kubernetes.pod.namespace": kube-system',
    '            "k8s:k8s-app": kube-dns',
    "      toPorts:",
    "        - ports:",
    '            - port: "53"',
    "              protocol: ANY",
    "          rules:",
    "            dns:",
]


def _name(entry: Entry) -> str:
    if entry.kind == "wildcard":
        return f"matchPattern: {json.dumps('*.' + entry.host)}"
    return f"matchName: {json.dumps(entry.host)}"


def _ports(entry: Entry) -> list[str]:
    low, high = _export.ports_of(entry)
    lines = ["      toPorts:", "        - ports:"]
    for protocol in ("TCP", "UDP"):
        lines += [f'            - port: "{low}"']
        lines += [f"              endPort: {high}"] if high > low else []
        lines += [f"              protocol: {protocol}"]
    return lines


def _rule(entry: Entry) -> list[str]:
    if entry.kind == "address":
        return ["    - toCIDR:", f"        - {json.dumps(entry.host)}", *_ports(entry)]
    return ["    - toFQDNs:", f"        - {_name(entry)}", *_ports(entry)]


def export(order: Order) -> Exported:
    """Return a policy that denies what no entry covers, and opens the cluster's DNS for the listed names alone."""
    known = [entry for entry in order.entries if entry.kind != "unix"]
    names = dict.fromkeys(_name(entry) for entry in known if entry.kind != "address")
    rules = [*NAMESERVER, *(f"              - {name}" for name in names)] if names else []
    rules += [line for entry in known for line in _rule(entry)]
    lines = ["apiVersion: cilium.io/v2", "kind: CiliumNetworkPolicy", *metadata(order), "spec:"]
    lines += selector("endpointSelector", order)
    # An empty list would not switch the selected pods to deny; a rule that matches nothing does.
    lines += ["  egress:", *(rules or ["    - {}"])]
    left_out = _export.without(order.entries, unix="Cilium does not see UNIX sockets")
    narrowed = _export.without(order.entries, wildcard=ONE_LABEL)
    return Exported("\n".join(lines) + "\n", REMARKS, left_out, narrowed=narrowed)
