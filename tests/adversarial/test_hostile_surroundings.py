"""Code that runs around a call: hooks, handlers, tracers, signals, collectors. None of it opens a way out."""

from __future__ import annotations

import children
import pytest
from beginnings import HOSTILE as PREAMBLE
from listeners import Endpoint

# What the code does while a dial is under way. Without the guard each makes at least one connection of its own.
CALLERS = {
    "a logging handler": """
import logging
class Handler(logging.Handler):
    def emit(self, record): words.append(word(dial))
logging.getLogger("egressguard").addHandler(Handler())
guard()
if sys.argv[2] != "guarded":
    logging.getLogger("egressguard").error("as if")
""",
    "__del__": """
class Collected:
    def __del__(self): words.append(word(dial))
guard()
held = Collected()
del held
""",
    "a weak reference": """
import weakref
class Thing: pass
guard()
thing = Thing()
kept = weakref.ref(thing, lambda _: words.append(word(dial)))
del thing
""",
    "the garbage collector": """
import gc
guard()
def callback(phase, info):
    gc.callbacks.clear()
    words.append(word(dial))
gc.callbacks.append(callback)
gc.collect()
""",
    "a tracer": """
guard()
def tracer(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "dial" and not words:
        words.append("tracing")
        words.append(word(dial))
    return tracer
sys.settrace(tracer)
word(dial)
sys.settrace(None)
words.remove("tracing")
""",
    "a profiler": """
guard()
def profiler(frame, event, argument):
    if event == "c_call" and argument.__name__ == "connect":
        sys.setprofile(None)
        words.append(word(dial))
sys.setprofile(profiler)
word(dial)
sys.setprofile(None)
""",
    "an audit hook that was there earlier": """
busy = []
def hook(event, arguments):
    if event == "socket.connect" and not busy:
        busy.append(event)
        # The very tuple that the event carries, on a socket of its own.
        words.append(word(lambda: _socket.socket().connect(arguments[1] if arguments[1] == here else here)))
sys.addaudithook(hook)
guard()
word(dial)
if not words:  # the guard refuses before there is an event; what a hook then does is refused like everything
    words.append(word(dial))
""",
    "a signal handler": """
import signal
guard()
signal.signal(signal.SIGUSR1, lambda *_: words.append(word(dial)))
signal.raise_signal(signal.SIGUSR1)
""",
    "an exit function of a thread": """
guard()
class Local(threading.local):
    pass
class Ending:
    def __del__(self): words.append(word(dial))
def work():
    local = Local()
    local.ending = Ending()
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
    "a context variable and a finaliser": """
import weakref
guard()
class Thing: pass
thing = Thing()
weakref.finalize(thing, lambda: words.append(word(dial)))
del thing
""",
}


@pytest.mark.parametrize("caller", CALLERS)
def test_code_around_a_call_dials(caller: str, listener: Endpoint) -> None:
    source = f"{PREAMBLE}\n{CALLERS[caller]}\nword(dial)\ntell(words)\n"
    assert "done" in children.python(source, listener.port, "unguarded").last()
    assert listener.seen()
    assert set(children.python(source, listener.port, "guarded").last()) == {"loopback"}
    assert listener.seen() == []


BLOCKED = """
import select, signal
listener = socket.socket()
listener.bind(("203.0.113.5", 9))
listener.listen(0)
target = ("203.0.113.5", 9)
others = [socket.create_server(("127.0.0.1", 10)), socket.create_server(("203.0.113.5", 10))]
def full():
    # Connections beyond the backlog are left without an answer: connect blocks.
    fillers = [socket.socket() for _ in range(4)]
    for one in fillers:
        one.setblocking(False)
        one.connect_ex(target)
    return fillers
import egressguard
egressguard.install(("203.0.113.5:9",))
fillers = full()
"""
HANDLERS = {
    "another endpoint": "words.append(word(lambda: socket.create_connection(('127.0.0.1', 10), 1)))",
    "a copy of the tuple, changed": "words.append(word(lambda: socket.socket().connect((address[0], 10))))",
    "the same socket, elsewhere": "words.append(word(lambda: one.connect(('127.0.0.1', 10))))",
    "the same socket, by the first type": "words.append(word(lambda: _socket.socket.connect_ex(one, ('127.0.0.1', 10))))",
}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("route", ["connect", "connect_ex"])
def test_a_signal_handler_dials_inside_a_blocked_connect(handler: str, route: str, own_network: None) -> None:
    """The route is under way in the same thread: its note for the floor must not serve the handler's dial."""
    source = f"""
import sys
sys.argv += ["0", "guarded"]
{PREAMBLE}
{BLOCKED}
address, one = target, socket.socket()
one.settimeout(0.5)
signal.signal(signal.SIGALRM, lambda *_: {HANDLERS[handler]})
signal.setitimer(signal.ITIMER_REAL, 0.1)
outer = word(lambda: one.{route}(address))
tell([words, outer, len(select.select(others, [], [], 0.05)[0])])
"""
    told, outer, arrived = children.python_alone(source, addresses=["203.0.113.5/32"]).last()
    assert (len(told), arrived) == (1, 0)
    assert told[0] in ("loopback", "port")
    assert outer in ("TimeoutError", "done", "OSError")  # connect_ex returns its errno; the handler may have closed it


def test_an_audit_hook_that_changes_what_it_sees(listener: Endpoint) -> None:
    """The address of an event is exact already: it has nothing that a hook could change. The hook's own error surfaces."""
    source = (
        PREAMBLE
        + """
seen = []
def hook(event, arguments):
    if event == "socket.connect":
        seen.append([type(arguments[1]).__name__, [type(item).__name__ for item in arguments[1]]])
        raise ZeroDivisionError
sys.addaudithook(hook)
import egressguard
egressguard.install(("203.0.113.5:9",))
class Address(tuple): pass
class Host(str): pass
class Port(int): pass
told = word(lambda: socket.socket().connect(Address((Host("203.0.113.5"), Port(9)))))
tell([told, seen, word(dial)])
"""
    )
    assert children.python(source, listener.port, "guarded").last() == [
        "ZeroDivisionError", [["tuple", ["str", "int"]]], "loopback"
    ]  # fmt: skip
    assert listener.seen() == []
