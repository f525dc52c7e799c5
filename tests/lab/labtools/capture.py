"""Record every frame that arrives on an interface: `capture.py INTERFACE`, requests on standard input.

`{"token": T, "path": P}` waits for the frame that carries the token, writes everything since the last such frame to a
pcap file and answers `{"frames": N, "drops": N}`. The token comes over the same wire, so what was sent before it is in
the file and nothing is waited for. Frames are taken from a ring shared with the kernel: it is large where a socket
buffer is limited for users without rights, and what it could not hold is counted.
"""

from __future__ import annotations

import json
import mmap
import select
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

from labtools.processes import die_with_parent

SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
TPACKET_V2 = 1
ETH_P_ALL = 3
TP_STATUS_KERNEL, TP_STATUS_USER = 0, 1
FRAME_SIZE, FRAME_COUNT = 2048, 32768
BLOCK_SIZE = 1 << 20
PATIENCE = 10.0


class Capture:
    """A ring on one interface, and the frames taken from it so far."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        size = FRAME_SIZE * FRAME_COUNT
        ring = struct.pack("IIII", BLOCK_SIZE, size // BLOCK_SIZE, FRAME_SIZE, FRAME_COUNT)
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        self.ring = mmap.mmap(self.socket.fileno(), size)
        self.next = 0
        self.frames: list[tuple[float, bytes]] = []
        self.socket.bind((interface, ETH_P_ALL))

    def take(self) -> None:
        """Move what the kernel has put into the ring to the list."""
        while True:
            at = self.next * FRAME_SIZE
            status, _, length, start, _, seconds, nanoseconds = struct.unpack_from("=IIIHHII", self.ring, at)
            if not status & TP_STATUS_USER:
                return
            self.frames.append((seconds + nanoseconds / 1e9, self.ring[at + start : at + start + length]))
            struct.pack_into("=I", self.ring, at, TP_STATUS_KERNEL)
            self.next = (self.next + 1) % FRAME_COUNT

    def cut(self, token: bytes, path: str | None) -> dict[str, Any]:
        """Write everything before the frame with the token; what is behind it stays for the next cut."""
        deadline, seen = time.monotonic() + PATIENCE, 0
        while True:
            self.take()
            for index in range(seen, len(self.frames)):
                if token in self.frames[index][1]:
                    before, self.frames = self.frames[:index], self.frames[index + 1 :]
                    if path is not None:
                        write_pcap(Path(path), before)
                    return {"frames": len(before), "drops": self.drops()}
            seen = len(self.frames)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the fence {token!r} did not arrive")
            select.select([self.socket], [], [], 0.1)

    def drops(self) -> int:
        """Return how many frames were lost since the last question; reading sets the kernel's count to zero."""
        _, drops = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(drops)


def write_pcap(path: Path, frames: list[tuple[float, bytes]]) -> None:
    """Write a file that tcpdump and Wireshark open."""
    with path.open("wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for moment, frame in frames:
            head = struct.pack("=IIII", int(moment), int(moment % 1 * 1e6), len(frame), len(frame))
            file.write(head + frame)


def main() -> None:
    """Take frames all the time, and answer requests."""
    die_with_parent()
    capture = Capture(sys.argv[1])
    print(json.dumps({"ready": True}), flush=True)
    poll = select.poll()
    poll.register(capture.socket, select.POLLIN)
    poll.register(sys.stdin, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            capture.take()
            if descriptor == sys.stdin.fileno():
                line = sys.stdin.readline()
                if not line:
                    return
                request = json.loads(line)
                try:
                    answer = capture.cut(request["token"].encode(), request["path"])
                except TimeoutError as error:
                    answer = {"broken": str(error)}
                print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
