"""What was on the wire: frames taken apart, as far as a verdict about egress needs it.

A parser of its own, because the tests must not depend on the opinion of a library that the guarded process also
loads, and because it has to keep what a well-behaved parser drops: a second question, bytes behind the message.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ETHERTYPES = {0x0800: "IPv4", 0x86DD: "IPv6", 0x0806: "ARP"}
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 136: "UDPLITE"}
IPV6_EXTENSIONS = {0, 43, 44, 60}
QUESTION_TYPES = {1: "A", 5: "CNAME", 6: "SOA", 12: "PTR", 16: "TXT", 28: "AAAA", 65: "HTTPS"}
DNS_PORT = 53

# The neighbours whose link addresses are fixed by the laboratory. Solicitations for them are the kernel's own
# housekeeping; one for any other address means that somebody tried to send there.
NEIGHBOURS = {"10.77.0.1", "10.77.0.2", "10.77.0.53", "10.77.0.54", "fd77::1", "fd77::2", "fd77::53", "fd77::54"}


@dataclass
class Frame:
    """One frame; what does not apply stays empty."""

    raw: bytes = field(repr=False)
    protocol: str
    source: str = ""
    destination: str = ""
    source_port: int = 0
    port: int = 0
    flags: int = 0  # TCP
    sequence: int = 0  # TCP
    kind: int = -1  # ICMP and ICMPv6 type
    target: str = ""  # ARP and neighbour solicitation: who is looked for
    payload: bytes = field(default=b"", repr=False)

    @property
    def is_dial(self) -> bool:
        """Whether this opens a TCP connection: SYN without ACK."""
        return self.protocol == "TCP" and self.flags & 0x12 == 0x02

    @property
    def is_noise(self) -> bool:
        """Whether the kernel sends this by itself, whatever processes do. Everything else counts."""
        if self.protocol == "ICMPv6":
            # Router solicitation; multicast listener reports; neighbours, of the laboratory or link-local.
            if self.kind in (133, 143, 131, 132):
                return True
            return self.kind in (135, 136) and (self.target in NEIGHBOURS or self.target.startswith("fe80:"))
        return self.protocol == "ARP" and self.target in NEIGHBOURS

    def __str__(self) -> str:
        """One line for people, and for rows that say what an attack shows."""
        if self.port:
            line = f"{self.protocol} to {self.destination} port {self.port}"
            if self.protocol == "TCP":
                line += " SYN" if self.is_dial else ""
            elif self.port == DNS_PORT:
                line += "".join(f" DNS {name} {kind}" for name, kind in questions_of(self.payload))
                line += "" if is_plain_question(self.payload) else " with more than a question"
            return line
        if self.target:
            return f"{self.protocol} who is {self.target}"
        return f"{self.protocol} to {self.destination}" + (f" type {self.kind}" if self.kind >= 0 else "")


def parse(raw: bytes) -> Frame:
    """Take a frame apart; what is not understood keeps the name of the layer that was reached."""
    ethertype = int.from_bytes(raw[12:14], "big")
    body = raw[14:]
    destination = raw[:6].hex(":")
    try:
        if ethertype == 0x0800:
            return parse_ipv4(raw, body)
        if ethertype == 0x86DD:
            return parse_ipv6(raw, body)
        if ethertype == 0x0806:
            return Frame(raw, "ARP", target=str(ipaddress.IPv4Address(body[24:28])))
    except (struct.error, ValueError, IndexError):
        pass
    return Frame(raw, ETHERTYPES.get(ethertype, f"ethertype 0x{ethertype:04x}"), destination=destination)


def parse_ipv4(raw: bytes, packet: bytes) -> Frame:
    """Take an IPv4 packet apart."""
    header = (packet[0] & 15) * 4
    total, fragment, number = struct.unpack_from("!H2xHxB", packet, 2)
    source, destination = (str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
    # The length field says where the packet ends: behind it is Ethernet padding. Segmentation offload leaves 0.
    body = packet[header : total or None]
    if fragment & 0x1FFF:
        return Frame(raw, f"{PROTOCOLS.get(number, number)} fragment", source, destination, payload=body)
    return parse_transport(raw, number, source, destination, body)


def parse_ipv6(raw: bytes, packet: bytes) -> Frame:
    """Take an IPv6 packet apart, extension headers included."""
    length, number = struct.unpack_from("!HB", packet, 4)
    source, destination = (str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24))
    body = packet[40 : 40 + length if length else None]
    while number in IPV6_EXTENSIONS:
        if number == 44 and int.from_bytes(body[2:4], "big") & 0xFFF8:
            return Frame(raw, "IPv6 fragment", source, destination, payload=body)
        number, size = body[0], 8 if number == 44 else (body[1] + 1) * 8
        body = body[size:]
    return parse_transport(raw, number, source, destination, body)


def parse_transport(raw: bytes, number: int, source: str, destination: str, body: bytes) -> Frame:
    """Take the transport header apart."""
    frame = Frame(raw, PROTOCOLS.get(number, f"protocol {number}"), source, destination, payload=body)
    if number in (17, 136):
        frame.source_port, frame.port = struct.unpack_from("!HH", body)
        frame.payload = body[8:]
    elif number == 6:
        frame.source_port, frame.port, frame.sequence = struct.unpack_from("!HHI", body)
        frame.flags = body[13]
        frame.payload = body[(body[12] >> 4) * 4 :]
    elif number in (1, 58):
        frame.kind = body[0]
        if number == 58 and frame.kind in (135, 136):
            frame.target = str(ipaddress.IPv6Address(body[8:24]))
    return frame


def questions_of(message: bytes) -> Iterator[tuple[str, str]]:
    """Yield (name, type) of every question in a DNS message, as far as it can be read."""
    try:
        count, at = int.from_bytes(message[4:6], "big"), 12
        for _ in range(count):
            name, at = read_name(message, at)
            kind = int.from_bytes(message[at : at + 2], "big")
            at += 4
            yield name, QUESTION_TYPES.get(kind, str(kind))
    except IndexError:
        yield f"unreadable:{message[:64]!r}", "?"


def is_plain_question(message: bytes) -> bool:
    """Whether a message is one standard query with one question, and nothing behind it but an OPT record (RFC 6891)."""
    if len(message) < 12 or message[2] & 0xFE or message[4:10] != b"\0\1\0\0\0\0":
        return False
    try:
        _, at = read_name(message, 12)
    except IndexError:
        return False
    rest, additional = message[at + 4 :], int.from_bytes(message[10:12], "big")
    if additional == 1:
        return rest[:3] == b"\0\0\x29" and len(rest) == 11 + int.from_bytes(rest[9:11], "big")
    return additional == 0 and not rest


def read_name(message: bytes, at: int) -> tuple[str, int]:
    """Return the name at an offset, lower case, and where it ends. A dot inside a label is shown as such."""
    labels: list[str] = []
    end, hops = -1, 0
    while True:
        length = message[at]
        if length >= 0xC0:
            end = at + 2 if end < 0 else end
            at, hops = int.from_bytes(message[at : at + 2], "big") & 0x3FFF, hops + 1
            if hops > 20:
                raise IndexError("compression loop")
            continue
        at += 1
        if length == 0:
            return ".".join(labels) or ".", at if end < 0 else end
        label = message[at : at + length]
        if len(label) < length:
            raise IndexError("cut off")
        labels.append(label.decode("latin-1").lower().replace(".", "\\."))
        at += length


class Wire:
    """Every frame that arrived on one interface during a case, noise taken out."""

    def __init__(self, raw_frames: list[bytes]) -> None:
        self.frames = [frame for frame in map(parse, raw_frames) if not frame.is_noise]

    @classmethod
    def read(cls, path: Path) -> Wire:
        """Read a pcap file."""
        data, at, found = path.read_bytes(), 24, []
        while at < len(data):
            [size] = struct.unpack_from("=8xI", data, at)
            found.append(data[at + 16 : at + 16 + size])
            at += 16 + size
        return cls(found)

    def lines(self) -> list[str]:
        """Return what was seen, a line for each different thing, in order of first appearance."""
        return list(
            dict.fromkeys([*map(str, self.frames), *(f"DNS {name} {kind}" for name, kind in self.tcp_questions())])
        )

    def shows(self, text: str) -> bool:
        """Whether one of the lines contains the text."""
        return any(text in line for line in self.lines())

    def dialled(self) -> set[tuple[str, int]]:
        """Return the endpoints to which a TCP connection was opened."""
        return {(frame.destination, frame.port) for frame in self.frames if frame.is_dial}

    def questions(self) -> set[str]:
        """Return the names asked of a nameserver, by UDP and by TCP."""
        asked = (
            questions_of(frame.payload) for frame in self.frames if frame.protocol == "UDP" and frame.port == DNS_PORT
        )
        return {name for questions in asked for name, _ in questions} | {name for name, _ in self.tcp_questions()}

    def tcp_questions(self) -> Iterator[tuple[str, str]]:
        """Yield the questions of DNS over TCP: streams put together, length prefixes followed (RFC 7766)."""
        streams: dict[tuple[str, int, str], dict[int, bytes]] = {}
        for frame in self.frames:
            if frame.protocol == "TCP" and frame.port == DNS_PORT and frame.payload:
                key = (frame.source, frame.source_port, frame.destination)
                streams.setdefault(key, {})[frame.sequence] = frame.payload
        for parts in streams.values():
            stream = b"".join(parts[sequence] for sequence in sorted(parts))
            while len(stream) > 2:
                size = int.from_bytes(stream[:2], "big")
                yield from questions_of(stream[2 : 2 + size])
                stream = stream[2 + size :]

    def besides(self, names: frozenset[str] | set[str]) -> list[str]:
        """Return the lines of everything but lookups of these names: the segments of a DNS connection, and questions.

        A datagram to a nameserver passes only when it is one message with one question for one of the names.
        """
        lines = [str(frame) for frame in self.frames if not is_lookup(frame, names)]
        lines += [f"DNS {name} {kind}" for name, kind in self.tcp_questions() if name not in names]
        return list(dict.fromkeys(lines))


def is_lookup(frame: Frame, names: frozenset[str] | set[str]) -> bool:
    """Whether a frame is part of a lookup of one of these names."""
    if not names or frame.destination not in NEIGHBOURS:
        return False
    if frame.protocol in ("ICMP", "ICMPv6") and frame.kind in (3, 1):
        return True  # the answer came when nobody waited for it any more
    if frame.port != DNS_PORT:
        return False
    if frame.protocol == "TCP":
        return True  # what the stream carries is judged as a whole, by Wire.tcp_questions
    asked = [name for name, _ in questions_of(frame.payload)]
    return (
        frame.protocol == "UDP"
        and asked[:1] == [name for name in asked if name in names]
        and is_plain_question(frame.payload)
    )
