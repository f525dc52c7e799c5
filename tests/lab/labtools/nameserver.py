"""The scripted name server: what dnsmasq cannot do. `nameserver.py ADDRESS ...`, requests on standard input.

`{"rules": {NAME: RULE}}` replaces all rules and forgets what was still to be answered. A rule is a dict:

| key | meaning |
| --- | --- |
| `A`, `AAAA` | a list of answers, each a list of addresses: one answer after the other, in a circle |
| `cname` | the name that this name stands for; a chain is followed |
| `ttl` | of every record, 0 where nothing is said |
| `truncated` | by UDP only the flag TC: the asker has to come again by TCP |
| `delay` | seconds before the answer goes out |
| `silent` | no answer at all |

`*` is the rule for every name without one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from labtools.processes import die_with_parent

PORT = 53


class NameServer:
    """The rules, how often each was used, and the answers on their way."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, Any]] = {}
        self.asked: dict[tuple[str, str], int] = {}
        self.pending: set[asyncio.Task[None]] = set()

    def follow(self, rules: dict[str, dict[str, Any]]) -> None:
        """Start anew with these rules."""
        for task in self.pending:
            task.cancel()
        self.rules, self.asked = rules, {}

    def rule_for(self, name: str) -> dict[str, Any]:
        """Return the rule for a name."""
        return self.rules.get(name) or self.rules.get("*") or {}

    def answer(self, query: dns.message.Message, by_udp: bool) -> dns.message.Message:
        """Make the response that the rules say."""
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AA
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True).lower()
        rule = self.rule_for(name)
        if rule.get("truncated") and by_udp:
            response.flags |= dns.flags.TC
            return response
        if not rule:
            response.set_rcode(dns.rcode.NXDOMAIN)
        owner = question.name
        for _ in range(16):  # a chain in a circle must end
            ttl = rule.get("ttl", 0)
            if "cname" not in rule:
                break
            target = rule["cname"] + "."
            response.answer.append(dns.rrset.from_text(owner, ttl, "IN", "CNAME", target))
            name, owner = rule["cname"].lower(), dns.name.from_text(target)
            rule = self.rule_for(name)
        answers = rule.get(kind)
        if answers:
            turn = self.asked.get((name, kind), 0)
            self.asked[name, kind] = turn + 1
            addresses = answers[turn % len(answers)]
            if addresses:
                response.answer.append(dns.rrset.from_text(owner, rule.get("ttl", 0), "IN", kind, *addresses))
        return response

    async def respond(self, message: bytes, by_udp: bool) -> bytes | None:
        """Return the response to a message, in its time, or None where there is none."""
        try:
            query = dns.message.from_wire(message)
            rule = self.rule_for(query.question[0].name.to_text(omit_final_dot=True).lower())
        except Exception:  # an attack need not be a message; what it was, the capture tells
            return None
        if rule.get("silent"):
            return None
        response = self.answer(query, by_udp)
        if rule.get("delay"):
            await asyncio.sleep(rule["delay"])
        return response.to_wire(want_shuffle=False)  # the order of a rule is the order of the answer

    def start(self, work: Any) -> None:
        """Run a coroutine that new rules cancel."""
        task = asyncio.ensure_future(work)
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)


class ByUdp(asyncio.DatagramProtocol):
    """One message a datagram."""

    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: Any) -> None:
        """Remember where to answer."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Answer in a task of its own: a slow name must not hold up the others."""
        self.server.start(self.reply(data, address))

    async def reply(self, data: bytes, address: Any) -> None:
        """Send the response, where there is one."""
        response = await self.server.respond(data, by_udp=True)
        if response is not None:
            self.transport.sendto(response, address)


async def by_tcp(server: NameServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer messages with a length prefix until the other side closes."""
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            response = await server.respond(await reader.readexactly(size), by_udp=False)
            if response is not None:
                writer.write(len(response).to_bytes(2, "big") + response)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve on every address of the command line, and take rules."""
    die_with_parent()
    server, loop = NameServer(), asyncio.get_running_loop()
    for address in sys.argv[1:]:
        await loop.create_datagram_endpoint(lambda: ByUdp(server), (address, PORT))
        await asyncio.start_server(lambda reader, writer: by_tcp(server, reader, writer), address, PORT)
    requests = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await requests.readline():
        server.follow(json.loads(line)["rules"])
        print(json.dumps({"rules": len(server.rules)}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
