"""The list as a Kubernetes NetworkPolicy (networking.k8s.io/v1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from egressguard import _export
from egressguard._export import Exported, Order

if TYPE_CHECKING:
    from egressguard._entries import Entry

NO_NAMES = "a NetworkPolicy matches addresses and pods, never names"
REMARKS = (
    "it holds for every process of the selected pods, and loopback inside a pod stays open",
    "the cluster's own DNS is not opened: no entry of this list is a name there",
)


def metadata(order: Order) -> list[str]:
    """Return the lines of ``metadata``."""
    space = [f"  namespace: {order.namespace}"] if order.namespace else []
    return ["metadata:", f"  name: {order.name}", *space]


def selector(name: str, order: Order) -> list[str]:
    """Return the lines that select the pods."""
    if not order.labels:
        return [f"  {name}: {{}}"]
    labels = [f"      {json.dumps(key)}: {json.dumps(value)}" for key, value in order.labels.items()]
    return [f"  {name}:", "    matchLabels:", *labels]


def _rule(entry: Entry) -> list[str]:
    low, high = _export.ports_of(entry)
    lines = ["    - to:", "        - ipBlock:", f"            cidr: {json.dumps(entry.host)}", "      ports:"]
    for protocol in ("TCP", "UDP"):
        lines += [f"        - protocol: {protocol}", f"          port: {low}"]
        lines += [f"          endPort: {high}"] if high > low else []
    return lines


def export(order: Order) -> Exported:
    """Return a policy that denies what no entry covers."""
    rules = [line for entry in order.entries if entry.kind == "address" for line in _rule(entry)]
    lines = ["apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy", *metadata(order), "spec:"]
    lines += selector("podSelector", order)
    lines += ["  policyTypes:", "    - Egress"]
    lines += ["  egress:", *rules] if rules else ["  egress: []"]
    left_out = _export.without(
        order.entries, name=NO_NAMES, wildcard=NO_NAMES, unix="a NetworkPolicy does not see UNIX sockets"
    )
    return Exported("\n".join(lines) + "\n", REMARKS, left_out)
