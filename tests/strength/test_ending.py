"""The guard holds until the process is gone: in threads that finalization meets, at exit, in the last finalizers."""

from __future__ import annotations

import children
import pytest
from listeners import Endpoint
from scale import SCALE

ENDS = 10 * SCALE
ENDED = 42  # what a child that ran to its end returns; 0 could be an early end

PREAMBLE = """
import _socket, atexit, gc, logging, os, socket, sys, threading, time, weakref
import egressguard
logging.getLogger("egressguard").setLevel(logging.CRITICAL + 1)
egressguard.install(("198.51.100.1:9",))
port = int(sys.argv[1])
EgressViolation = egressguard.EgressViolation

# Everything it needs is its own: at the end the modules are empty.
def dial(kind=1, make=_socket.socket, address=("127.0.0.1", port), violation=EgressViolation, exit=os._exit,
         runtime_error=RuntimeError, text=str, kind_of=type):
    one = make(2, kind)
    try:
        one.connect(address) if kind == 1 else one.sendto(b"x", address)
    except violation:
        one.close()
        return
    except runtime_error as error:
        if "shutting down" in text(error) or "EgressViolation" in kind_of(error).__name__:
            return
        raise
    exit(43)

dial()
"""

DAEMONS = """
def for_ever(which):
    while True:
        dial(1 + which % 2)

for which in range(16):
    threading.Thread(target=for_ever, args=(which,), daemon=True).start()
time.sleep(0.05)
sys.exit(42)
"""

POOL = """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(8)
futures = [pool.submit(lambda: [dial(1 + which % 2) for which in range(200)]) for _ in range(32)]
sys.exit(42)  # the interpreter waits for the pool's threads
"""

THREADS = """
def late():
    time.sleep(0.1)  # the main thread has ended by then
    for which in range(100):
        dial(1 + which % 2)

for _ in range(8):
    threading.Thread(target=late).start()
sys.exit(42)
"""

ATEXIT = """
atexit.register(dial)
threading._register_atexit(dial)
weakref.finalize(dial, dial.__call__)
import multiprocessing.util
multiprocessing.util.Finalize(None, dial, exitpriority=1)
sys.exit(42)
"""

FINALIZERS = """
class Last:
    def __init__(self, dial=dial): self.dial = dial
    def __del__(self): self.dial()

kept = [Last() for _ in range(10)]
kept.append(kept)
sys.last = Last()           # goes with sys
socket.last = Last()        # and with the module of the routes
import builtins
builtins.last = Last()      # the last module of all
egressguard.last = Last()
del sys.modules["egressguard"], sys.modules["egressguard._egressguard"]
sys.exit(42)
"""

RAISED = """
class Late(Exception):
    pass

try:
    dial_it = socket.socket().connect(("127.0.0.1", port))
except EgressViolation as violation:
    kept = violation
    kept.cycle = kept
raise SystemExit(42)
"""


@pytest.mark.timeout(60 * SCALE + 60)
@pytest.mark.parametrize(
    "source",
    [DAEMONS, POOL, THREADS, ATEXIT, FINALIZERS, RAISED],
    ids="daemons pool threads atexit finalizers raised".split(),
)
def test_nothing_is_dialled_while_the_interpreter_ends(source: str, listener: Endpoint) -> None:
    for _ in range(ENDS):
        child = children.python(PREAMBLE + source, listener.port)
        assert (child.code, child.err) == (ENDED, ""), f"{child.code}\n{child.out}\n{child.err[-8000:]}"
    assert listener.seen() == []


FRESH = "import egressguard; egressguard.install(); import sys; sys.exit(42)"


@pytest.mark.timeout(600)
def test_a_fresh_process_imports_and_installs() -> None:
    """10,000 of them in `./dev stress fresh`."""
    for number in range(100 * SCALE):
        child = children.python(FRESH)
        assert (child.code, child.err) == (ENDED, ""), f"process {number}: {child.code}\n{child.err}"
