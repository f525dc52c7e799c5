"""Many lookups at the same time: by many connections and datagrams, behind idle ones, and by one that asks ahead."""

from __future__ import annotations

import sys

import pytest
from kernellab.wire import LISTED, NAMESERVER, Wire

from conftest import Guarded

OVER_TCP = {"RES_OPTIONS": "use-vc timeout:5 attempts:1"}
AT_ONCE = """
import collections, socket, sys, threading
count = int(sys.argv[1]); told = collections.Counter(); gate = threading.Barrier(count)
def look_up():
    gate.wait()
    try: told[socket.getaddrinfo("slow.test", 8444, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]] += 1
    except OSError as error: told[str(error)] += 1
threads = [threading.Thread(target=look_up) for _ in range(count)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(dict(told))
"""


@pytest.mark.parametrize("resolver", [OVER_TCP, {}], ids=["over TCP", "over UDP"])
def test_more_lookups_than_the_stub_has_places(wire: Wire, guarded: Guarded, resolver: dict[str, str]) -> None:
    command = [sys.executable, "-c", AT_ONCE, "300"]
    for way in (command, guarded(command)):
        done = wire.run(way, env=resolver)
        assert done.stdout == f"{{'{LISTED}': 300}}\n", done
    wire.events()


BEHIND_IDLE = """
import os, socket, sys, time
def idle(first):
    s = socket.create_connection((sys.argv[1], 53), 5); s.sendall(first); return s
kept = [idle(first) for first in (b"", b"\\0", b"\\0\\x10half") for _ in range(60)]
started = time.monotonic()
print(os.waitstatus_to_exitcode(os.system("getent ahostsv4 slow.test")), time.monotonic() - started < 4)
print(len(kept))
"""


def test_idle_connections_of_one_process_give_their_places_away(wire: Wire, guarded: Guarded) -> None:
    command = [sys.executable, "-c", BEHIND_IDLE, NAMESERVER]
    for way in (command, guarded(command)):
        done = wire.run(way, env=OVER_TCP)
        assert done.stdout.startswith(LISTED), done
        assert done.stdout.endswith("0 True\n180\n"), done
    wire.events()


AHEAD = """
import socket, struct, sys
labels = b"\\3api\\4test\\0"
def query(i): return struct.pack("!HHHHHH", i, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)
with socket.create_connection((sys.argv[1], 53), 5) as s:
    s.sendall(b"".join(struct.pack("!H", len(query(i))) + query(i) for i in range(200)))
    answers = s.makefile("rb")
    told = []
    while len(told) < 200 and (size := answers.read(2)):
        answer = answers.read(struct.unpack("!H", size)[0])
        told.append((struct.unpack("!H", answer[:2])[0], socket.inet_ntoa(answer[-4:])))
print(sorted(told) == [(i, "203.0.113.10") for i in range(200)], len(told))
"""


def test_questions_that_are_asked_ahead_are_all_answered(wire: Wire, guarded: Guarded) -> None:
    command = [sys.executable, "-c", AHEAD, NAMESERVER]
    for way in (command, guarded(command)):
        done = wire.run(way)
        assert done.stdout == "True 200\n", done
    wire.events()


WAITING = """
import os, socket, sys, time
kept = [socket.create_connection((sys.argv[1], 53), 5) for _ in range(160)]
query = b"\\0\\x1b\\1\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4slow\\4test\\0\\0\\1\\0\\1"
[s.sendall(query * 20) for s in kept]  # 20 questions ahead each: nobody is idle
def used():
    with open(f"/proc/{os.getppid()}/stat") as file: return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
before = used(); time.sleep(1); print((used() - before) * 1000 // os.sysconf("SC_CLK_TCK"))
"""


def test_clients_without_a_place_wait_without_spinning(wire: Wire, guarded: Guarded) -> None:
    """The supervisor is the parent in both ways, and 128 clients keep all its places."""
    done = wire.run(guarded([sys.executable, "-c", WAITING, NAMESERVER]))
    assert int(done.stdout) < 300, done  # milliseconds of a second
    wire.events()


KEPT = """
import select, socket, struct, sys
NAMESERVER = sys.argv[1], 53
def ask(s, number):
    s.send(struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + b"\\3api\\4test\\0" + struct.pack("!HH", 1, 1))
    if not select.select([s], [], [], 3)[0]: return "no answer"
    answer, source = s.recvfrom(512)
    return socket.inet_ntoa(answer[-4:]), source == NAMESERVER, answer[:2] == struct.pack("!H", number)
def connected(family=socket.AF_INET, kind=socket.SOCK_DGRAM):
    s = socket.socket(family, kind); s.connect(NAMESERVER); return s
kept = connected()
told = {ask(kept, 1)}
for number in range(3000):
    with connected() as other:
        if number % 100 == 0: told.add(ask(other, number))
for number in range(1100): connected(kind=socket.SOCK_STREAM).close()
told.add(ask(kept, 4711)); print(told)
"""


def test_a_socket_that_is_kept_is_answered_however_many_others_come_and_go(wire: Wire, guarded: Guarded) -> None:
    """As c-ares, hickory and dnspython keep theirs: idle for long, and from the nameserver's address still."""
    command = [sys.executable, "-c", KEPT, NAMESERVER]
    for way in (command, guarded(command)):
        done = wire.run(way)
        assert done.stdout == f"{{('{LISTED}', True, True)}}\n", done
    wire.events()


OUTSIDE = """
import ast, select, socket, struct, subprocess, sys
INSIDE = '''
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 53))
print(*s.getpeername(), s.getsockname()[1], flush=True); input()
'''
guarded = subprocess.Popen([*ast.literal_eval(sys.argv[1]), sys.executable, "-c", INSIDE, sys.argv[2]],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
address, stub, port = guarded.stdout.readline().split()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("0.0.0.0", int(port) % 20000 + 1100))  # a port that the kernel chooses for nobody
    s.sendto(struct.pack("!HHHHHH", 1, 0x0100, 1, 0, 0, 0) + b"\\3api\\4test\\0" + struct.pack("!HH", 1, 1), (address, int(stub)))
    print(address, select.select([s], [], [], 0.5)[0])
guarded.communicate("\\n")
"""


def test_strangers_are_not_answered_and_nothing_is_asked_for_them(wire: Wire, guarded: Guarded) -> None:
    """Any program of the machine can send to the stub's port."""
    done = wire.run([sys.executable, "-c", OUTSIDE, repr(guarded([])), NAMESERVER])
    assert done.stdout == "127.0.0.1 []\n", done
    assert wire.events() == []
