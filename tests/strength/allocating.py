"""The child of `test_allocations.py`: `allocating.py ALLOCATOR ACTION PORT`.

For every allocation that an action makes, a forked child runs the action with that one failing, and another with all
failing from that one on. Each says with its exit status what came of it; what is neither a refusal nor MemoryError is
told, with the number of the allocation.
"""

from __future__ import annotations

import _socket
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from inside import tell

import egressguard
import egressguard._observe
import egressguard._violations

DONE, REFUSED, NO_MEMORY, OTHER, OPEN = 40, 41, 42, 43, 44
FAILED = 100  # added where an allocation failed
ALLOW = ("198.51.100.1:9", "listed.test:80", "*.wild.test:80", "unix:/nowhere")
INSTALLS: dict[str, tuple[Any, ...]] = {"install": (ALLOW,), "install, default": ()}
STEPS_MAX = 3000  # no action comes near it
SECONDS = 30


class Python:
    """The allocators of CPython, which `_testcapi` can have fail."""

    def __init__(self) -> None:
        import _testcapi

        self.module: Any = _testcapi

    def arm(self, count: int, every: bool) -> None:
        self.module.set_nomemory(count, 0 if every else count + 1)

    def stop(self) -> bool:
        """Work again; return whether allocations failed until now (only where every one was to fail)."""
        try:
            bytearray(1000)
            failing = False
        except MemoryError:
            failing = True
        self.module.remove_mem_hooks()
        return failing


class C:
    """malloc, calloc, realloc and mmap of everything else; `failing_malloc.c` is preloaded."""

    def __init__(self) -> None:
        library = ctypes.PyDLL(None)
        self.fail_after, self.fail_stop = library.fail_after, library.fail_stop
        self.fail_after.argtypes = [ctypes.c_long, ctypes.c_int]

    def arm(self, count: int, every: bool) -> None:
        self.fail_after(count, every)

    def stop(self) -> bool:
        """Work again; return whether an allocation failed."""
        return bool(self.fail_stop() > 0)


def udp() -> Any:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def actions(port: int) -> dict[str, Callable[[], object]]:
    """Return what is done while memory lacks. All dials but one go to a real listener, and are refused."""
    loopback = ("127.0.0.1", port)
    one, connection = udp(), socket.socket()
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    path = socket.socket(socket.AF_UNIX)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"")]
    return {
        "install": lambda: egressguard.install(ALLOW),
        "install, default": lambda: egressguard.install(),
        "first refusal": lambda: one.connect_ex(loopback),
        "observe": lambda: egressguard.observe(ALLOW),
        "connect": lambda: connection.connect(loopback),
        "connect_ex": lambda: one.connect_ex(loopback),
        "connect, copied": lambda: one.connect((bytearray(b"127.0.0.1"), True + port - 1)),
        "connect, IPv6": lambda: six.connect(("::1", port, 0, 0)),
        "connect, localhost": lambda: connection.connect(("localhost", port)),
        "connect, listed": lambda: one.connect(("198.51.100.1", 9)),
        "connect, path": lambda: path.connect("/nowhere/at/all"),
        "sendto": lambda: one.sendto(bytearray(b"x"), 0, loopback),
        "sendmsg, many": lambda: one.sendmsg([b"x"] * 50, rights, 0, loopback),
        "sendmsg": lambda: one.sendmsg([b"x"], rights, 0, loopback),
        "bind": lambda: one.bind(("unlisted.test", 0)),
        "setsockopt": lambda: one.setsockopt(socket.IPPROTO_IP, 4, b"\x83\x03\x04"),
        "getaddrinfo": lambda: _socket.getaddrinfo("unlisted.test", port),
        "getaddrinfo, localhost": lambda: _socket.getaddrinfo("localhost", port),
        "gethostbyname": lambda: _socket.gethostbyname("unlisted.test"),
        "gethostbyname_ex": lambda: _socket.gethostbyname_ex("unlisted.test"),
        "gethostbyaddr": lambda: _socket.gethostbyaddr("192.0.2.7"),
        "getnameinfo": lambda: _socket.getnameinfo(("192.0.2.7", port), 0),
        "violations": lambda: egressguard.violations(egressguard.violation_count() - 3),
        "allowlist": lambda: egressguard._egressguard.allowlist(),
        "posture": lambda: egressguard._egressguard.posture(),
        "explain": lambda: egressguard.explain("listed.test:80", ALLOW),
    }


def is_for_want_of_memory(error: BaseException) -> bool:
    """Whether an exception says in other words that memory lacked."""
    if type(error) is SystemError:  # CPython 3.13 lost the exception while it built a traceback; int("x") does the same
        return "without exception set" in str(error)
    if type(error) is RuntimeError:  # install() says which step failed, and enforces nothing
        return str(error).startswith("egressguard cannot install") and "was loaded earlier" not in str(error)
    return isinstance(error, OSError) and "emory" in str(error)  # the C library's words


def outcome(call: Callable[[], object], arm: Callable[[], None], stop: Callable[[], bool]) -> tuple[int, bool]:
    """Call with failing allocations; return what came of it, and whether one failed."""
    refused, no_memory = egressguard.EgressViolation, MemoryError
    arm()
    try:
        call()
        result = DONE
    except no_memory:
        result = NO_MEMORY
    except refused:
        result = REFUSED
    except BaseException as error:
        failed = stop()
        result = NO_MEMORY if is_for_want_of_memory(error) else OTHER
        if result == OTHER:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        return result, failed
    return result, stop()


def afterwards(action: str, result: int, port: int) -> int:
    """Return the result, or OPEN where the process is not what it should be after it."""
    installed = bool(egressguard._egressguard.posture()["installed"])
    if action in INSTALLS:
        if installed != (result == DONE):
            return OPEN
        egressguard.install(*INSTALLS[action])  # now it works
    elif action != "observe" and not installed:
        return OPEN
    if action == "observe":
        return result
    try:
        udp().sendto(b"x", ("127.0.0.1", port))
    except egressguard.EgressViolation:
        return result
    return OPEN


def step(
    action: str, call: Callable[[], object], memory: Python | C, port: int, number: int, every: bool
) -> tuple[str, bool]:
    """Run the action in a fork with allocation `number` failing; return a word, and whether one failed."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        result, failed = OTHER, True
        try:
            result, failed = outcome(call, lambda: memory.arm(number, every), memory.stop)
            result = afterwards(action, result, port)
        finally:
            os._exit(result + FAILED * failed)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}", True
    code = os.WEXITSTATUS(status)
    names = {DONE: "done", REFUSED: "refused", NO_MEMORY: "no memory", OTHER: "other", OPEN: "open"}
    return names.get(code % FAILED, f"status {code}"), code >= FAILED


def main(allocator: str, action: str, port: int) -> None:
    """Let every allocation of the action fail, one after the other, until none is left."""
    logging.getLogger("egressguard").setLevel(logging.CRITICAL + 1)
    memory: Python | C = Python() if allocator == "python" else C()
    call = actions(port)[action]
    if action not in (*INSTALLS, "observe"):
        egressguard.install(ALLOW)
    if action not in (*INSTALLS, "observe", "first refusal"):
        outcome(call, lambda: None, lambda: False)  # what is imported once is not what is looked at
    expected, _ = step(action, call, memory, port, STEPS_MAX * 10, every=True)
    words: dict[str, int] = {}
    strange = []
    total = 0
    for every in (True, False):
        for number in range(STEPS_MAX if every else total):
            word, failed = step(action, call, memory, port, number, every)
            words[word] = words.get(word, 0) + 1
            if word not in {expected, "refused", "no memory"}:
                strange.append([word, number, every])
            if every and not failed:
                break
            total = max(total, number + 1)
    tell({"expected": expected, "allocations": total, "words": words, "strange": strange})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
