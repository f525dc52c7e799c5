"""`install`: all or nothing, once and for good, from wherever it is called."""

from __future__ import annotations

from typing import Any

import children
import pytest
from listeners import Endpoint

PREAMBLE = """
import os, signal, socket, sys, threading
import _socket
from inside import outcome, tell, word
port = int(sys.argv[1])

def dial():
    with socket.socket() as one:
        one.settimeout(5)
        one.connect(("127.0.0.1", port))

def attempt(call):
    # The type and the text, or "done": what an `install` answered.
    told = outcome(call)
    return "done" if told["type"] is None else [told["type"], told["text"]]
import egressguard
"""


def run(source: str, listener: Endpoint, **options: Any) -> list[Any]:
    """Run it in a child; return all that it told."""
    return children.python(PREAMBLE + source, listener.port, **options).told()


def test_nothing_is_enforced_before(listener: Endpoint) -> None:
    """Importing has no effect on anybody's sockets."""
    assert run("tell([word(dial), egressguard.posture()['installed']])", listener) == [["done", False]]
    assert listener.seen() == ["tcp"]


def test_the_default_list(listener: Endpoint) -> None:
    """It is compiled in: rebinding the constant changes nothing."""
    source = """
egressguard.DEFAULT_ALLOWLIST = egressguard._egressguard.DEFAULT_ALLOWLIST = ("203.0.113.5:9",)
egressguard.install()
tell(egressguard.posture()["allowlist"])
tell([word(dial), word(lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("203.0.113.5", 9)))])
"""
    assert run(source, listener) == [["api.anthropic.com:443"], ["loopback", "not-listed"]]
    assert egressguard_default() == ("api.anthropic.com:443",)


def egressguard_default() -> tuple[str, ...]:
    import egressguard

    return egressguard.DEFAULT_ALLOWLIST


def test_the_given_list_is_used_exactly(listener: Endpoint) -> None:
    """Nothing of the default list is added to it. UDP connect sends nothing."""
    source = """
egressguard.install(allow=["203.0.113.5:9"])
one = lambda: socket.socket(type=socket.SOCK_DGRAM)
tell([word(lambda: one().connect(("203.0.113.5", 9))), word(lambda: socket.getaddrinfo("api.anthropic.com", 443))])
"""
    assert run(source, listener) == [["done", "not-listed"]]


def test_the_same_list_again_does_nothing(listener: Endpoint) -> None:
    """In another order, spelling and number as well: the lists are compared by what they mean."""
    source = """
egressguard.install(["A.example:80", "203.0.113.5:9", "203.0.113.5:9"])
tell([attempt(lambda: egressguard.install(iter(("203.0.113.5:9", "a.EXAMPLE.:80")))),
      attempt(lambda: egressguard.EgressGuard.install(allow={"203.0.113.5:9", "a.example:80"})), word(dial)])
"""
    assert run(source, listener) == [["done", "done", "loopback"]]


def test_another_list_raises_and_changes_nothing(listener: Endpoint) -> None:
    source = """
egressguard.install(["203.0.113.5:9"])
tell([attempt(lambda: egressguard.install(["203.0.113.5:10"])), attempt(egressguard.install),
      attempt(lambda: egressguard.install([])), egressguard.posture()["allowlist"]])
"""
    *answers, after = run(source, listener)[0]
    for kind, text in answers:
        assert kind == "RuntimeError"
        assert "already installed with another allowlist, ('203.0.113.5:9',)" in text
    assert after == ["203.0.113.5:9"]


def test_an_empty_list_refuses_everything(listener: Endpoint) -> None:
    source = """
egressguard.install(())
tell([word(dial), word(lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("203.0.113.5", 9))),
      word(lambda: socket.getaddrinfo("api.anthropic.com", 443)), egressguard.posture()["allowlist"]])
"""
    assert run(source, listener) == [["loopback", "not-listed", "not-listed", []]]


# ---- a failure leaves nothing enforced ----

FAILURES = {
    "a bad entry": ("", "[*['203.0.113.5:9'] * 3, 'nonsense']", "ValueError", "'nonsense': the port is missing"),
    "an entry that is no str": ("", "['203.0.113.5:9', 9]", "TypeError", "allowlist entry 9: must be str, not int"),
    "a single str": ("", "'203.0.113.5:9'", "TypeError", "not a single str"),
    "no iterable": ("", "5", "TypeError", "not iterable"),
    "an iterator that raises": ("", "(1 / 0 for _ in 'x')", "ZeroDivisionError", "division by zero"),
    "an earlier hook that refuses ours": (
        "sys.addaudithook(lambda event, _: 1 / 0 if event == 'sys.addaudithook' else None)",
        "()",
        "ZeroDivisionError",
        "division by zero",
    ),
    # CPython keeps quiet about a RuntimeError there (PySys_AddAuditHook).
    "an earlier hook that refuses ours without a word": (
        """
def hook(event, _):
    if event == "sys.addaudithook":
        raise RuntimeError
sys.addaudithook(hook)""",
        "()",
        "RuntimeError",
        "refused the guard's own hook without a word",
    ),
    "an earlier hook that exits": (
        "sys.addaudithook(lambda event, _: sys.exit(3) if event == 'sys.addaudithook' else None)",
        "()",
        "SystemExit",
        "3",
    ),
    "an earlier hook that refuses the proof": (
        "sys.addaudithook(lambda event, _: 1 / 0 if event.startswith('egressguard') else None)",
        "()",
        "ZeroDivisionError",
        "division by zero",
    ),
    "a function of _socket that was replaced": (
        "_socket.getaddrinfo = lambda *a, **k: []",
        "()",
        "RuntimeError",
        "_socket.getaddrinfo is not the function that CPython",
    ),
    "the type of _socket that was replaced": ("_socket.socket = 5", "()", "RuntimeError", "is no type"),
    "another type in its place": ("_socket.socket = dict", "()", "AttributeError", "no attribute"),
    "a module without the function": ("del _socket.getnameinfo", "()", "AttributeError", "getnameinfo"),
    "another module in its place": ("sys.modules['_socket'] = sys", "()", "AttributeError", "socket"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_nothing_enforced(failure: str, listener: Endpoint) -> None:
    """The error names what is wrong; the dial goes through as before, and the capability was not used up."""
    before, allow, kind, text = FAILURES[failure]
    source = f"""
kept = dict(vars(_socket))
{before}
answer = attempt(lambda: egressguard.install({allow}))
sys.modules["_socket"] = _socket
vars(_socket).update(kept)
state = egressguard._egressguard.posture() if "the proof" not in {failure!r} else {{"installed": False, "capability": "available"}}
tell([answer, word(dial), state["installed"], state["capability"]])
"""
    (answer, dialled, installed, capability) = run(source, listener)[0]
    assert answer[0] == kind
    assert text in answer[1]
    assert (dialled, installed, capability) == ("done", False, "available")
    assert listener.seen() == ["tcp"]


def test_a_later_install_succeeds_after_a_failure(listener: Endpoint) -> None:
    source = """
kept, _socket.gethostbyname = _socket.gethostbyname, len
first = attempt(egressguard.install)
_socket.gethostbyname = kept
tell([first[0], attempt(egressguard.install), word(dial)])
"""
    assert run(source, listener) == [["RuntimeError", "done", "loopback"]]
    assert listener.seen() == []


# ---- from wherever it is called ----


@pytest.mark.parametrize("lists", ["same", "different"])
def test_threads_that_race(lists: str, listener: Endpoint) -> None:
    """One of them installs; the others compare with what it installed."""
    source = f"""
barrier, answers = threading.Barrier(16), []
def work(number):
    barrier.wait()
    answers.append(attempt(lambda: egressguard.install([f"203.0.113.{{number if {lists == "different"} else 5}}:9"])))
    answers.append(word(dial))
threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 17)]
for thread in threads: thread.start()
for thread in threads: thread.join()
tell([answers.count("done"), answers.count("loopback"), len(egressguard.posture()["allowlist"])])
"""
    assert run(source, listener) == [[16 if lists == "same" else 1, 16, 1]]
    assert listener.seen() == []


def test_dials_while_it_is_being_installed(listener: Endpoint) -> None:
    """Every dial that begins after `install` returned is refused, in threads that were dialling all the time."""
    source = """
installed, results = threading.Event(), []
def work():
    while True:
        late = installed.is_set()
        results.append((late, word(dial)))
        if late:
            return
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
egressguard.install()
installed.set()
for thread in threads: thread.join()
tell([sorted({told for late, told in results if late}), {told for _, told in results} <= {"done", "loopback"}])
"""
    assert run(source, listener) == [[["loopback"], True]]


def test_an_iterable_that_installs(listener: Endpoint) -> None:
    """The list is read before anything is claimed: the inner call wins, the outer one compares."""
    source = """
def entries():
    egressguard.install(["203.0.113.5:9"])
    yield "203.0.113.6:9"
tell([attempt(lambda: egressguard.install(entries()))[0], egressguard.posture()["allowlist"], word(dial)])
"""
    assert run(source, listener) == [["RuntimeError", ["203.0.113.5:9"], "loopback"]]


def test_a_hook_that_installs_while_it_is_installed(listener: Endpoint) -> None:
    """Waiting for itself would be a deadlock: the second call in the same thread raises."""
    source = """
answers = []
def hook(event, _):
    if event == "egressguard.floor" and not answers:
        answers.append("asked")
        answers.append(attempt(egressguard.install))
sys.addaudithook(hook)
tell([attempt(egressguard.install), answers[1], word(dial)])
"""
    answer = ["RuntimeError", "egressguard.install() is already running in this thread"]
    assert run(source, listener) == [["done", answer, "loopback"]]


def test_in_a_signal_handler(listener: Endpoint) -> None:
    source = """
signal.signal(signal.SIGUSR1, lambda *_: egressguard.install())
before = word(dial)
signal.raise_signal(signal.SIGUSR1)
tell([before, word(dial)])
"""
    assert run(source, listener) == [["done", "loopback"]]
    assert listener.seen() == ["tcp"]


def test_in_a_thread_that_is_not_the_main_one(listener: Endpoint) -> None:
    """It holds for all threads, whichever called it."""
    source = """
thread = threading.Thread(target=egressguard.install)
thread.start()
thread.join()
tell(word(dial))
"""
    assert run(source, listener) == ["loopback"]


def test_in_a_forked_child(listener: Endpoint) -> None:
    """The child is guarded, its parent is not."""
    source = """
if os.fork() == 0:
    egressguard.install()
    tell(word(dial))
    os._exit(0)
os.wait()
tell(word(dial))
"""
    assert run(source, listener) == ["loopback", "done"]
    assert listener.seen() == ["tcp"]
