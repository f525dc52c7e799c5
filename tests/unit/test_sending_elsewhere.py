"""A message that is sent elsewhere than in the main thread of the process that installed: judged there."""

from __future__ import annotations

import children
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import os, socket, sys, threading
from inside import tell, word
LISTED = "203.0.113.5"
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((LISTED, 9))
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install((f"{LISTED}:9",))
one = socket.socket(type=socket.SOCK_DGRAM)
"""
ELSEWHERE = {
    "a forked child": """
child = os.fork()
if child == 0:
    word(send)
    os._exit(0)
os.waitpid(child, 0)
""",
    "a thread": "thread = threading.Thread(target=lambda: word(send)); thread.start(); thread.join()",
    "an event loop": """
import asyncio
async def talk():
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, family=socket.AF_INET)
    for port in (9, 10):
        try: transport.sendto(b"x", (LISTED, port))
        except RuntimeError: pass
    transport.close()
    await asyncio.sleep(0)
asyncio.run(talk())
""",
    "an event loop's socket": """
import asyncio
async def talk():
    one.setblocking(False)
    for port in (9, 10):
        try: await asyncio.get_running_loop().sock_sendto(one, b"x", (LISTED, port))
        except (RuntimeError, AttributeError): pass
asyncio.run(talk())
""",
    "a subinterpreter": """
try: import _xxsubinterpreters as interpreters
except ImportError: import _interpreters as interpreters
interpreters.run_string(interpreters.create(), f'''
import _socket
one = _socket.socket(2, 2)
for port in (9, 10):
    try: one.sendto(b"x", ("{LISTED}", port))
    except RuntimeError: pass
    try: one.sendmsg([b"x"], [], 0, ("{LISTED}", port))
    except RuntimeError: pass
''')
""",
}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_what_is_sent_elsewhere_is_judged_there(where: str) -> None:
    """By the listed port something arrives; by the other one only without the guard."""
    source = f"""
other = socket.socket(type=socket.SOCK_DGRAM)
other.bind((LISTED, 10))
def send():
    one.sendto(b"x", (LISTED, 9))
    one.sendto(b"x", (LISTED, 10))
{ELSEWHERE[where]}
def arrived(target):
    target.settimeout(0.2)
    try: return bool(target.recv(10))
    except TimeoutError: return False
tell([arrived(udp), arrived(other)])
"""
    modes = {
        mode: children.python_alone(PREAMBLE + source, mode, addresses=["203.0.113.5/32"]).last()
        for mode in ("unguarded", "guarded")
    }
    assert modes == {"unguarded": [True, True], "guarded": [True, False]}
