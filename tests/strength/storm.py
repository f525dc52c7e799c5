"""Everything at once, in one process: `storm.py SECONDS PORT forks|interpreters`. Status 42 alone means that it survived.

64 threads dial a real listener on loopback by every route, while others fork or make subinterpreters (not both: CPython
3.11 to 3.13 stops or aborts by itself where a thread forks while another makes them), collect garbage, set trace and profile functions, read the journal and race to install the guard; a timer's signal handler dials in the
middle of it all. The threads are daemons: at the end the interpreter is finalized under them. Status 42 cannot come from
an early end; 43 means that a dial was not refused after `install`, 44 that a check at the end failed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import egressguard

SURVIVED, LET_THROUGH, INCOMPLETE = 42, 43, 44
DIALLING = 64
ALLOW = ("198.51.100.1:9", "listed.test:80", "unix:/nowhere")
CHILD_SECONDS = 30
PATIENCE = 20  # seconds more for what a busy machine or a sanitizer has kept from happening

stop = threading.Event()
installed = threading.Event()
counts: dict[str, int] = {}


def count(what: str) -> None:
    counts[what] = counts.get(what, 0) + 1  # two threads may lose one: only whether it is 0 matters


def dial(port: int, which: int) -> None:
    """Make one attempt by one of the routes. Each must be refused once the guard is there."""
    loopback = ("127.0.0.1", port)
    kind = socket.SOCK_STREAM if which % 3 == 0 else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as one:
        one.settimeout(5)
        calls: list[Callable[[], object]] = [
            lambda: one.connect(loopback),
            lambda: one.connect_ex((bytearray(b"127.0.0.1"), port)),
            lambda: one.sendto(b"x", loopback),
            lambda: one.sendmsg([b"x"], [], 0, loopback),
            lambda: one.connect(("localhost", port)),
            lambda: socket.getaddrinfo("unlisted.test", port),
            lambda: socket.gethostbyname("unlisted.test"),
            lambda: one.setsockopt(socket.IPPROTO_IP, 4, b"\x83\x03\x04"),
            lambda: socket.getnameinfo(("192.0.2.7", port), 0),
        ]
        must_refuse = installed.is_set()
        try:
            calls[which % len(calls)]()
        except egressguard.EgressViolation:
            count("refused")
            return
        except OSError:
            if not must_refuse:
                return
        if must_refuse:
            os.write(2, f"not refused: {which % len(calls)}\n".encode())
            os._exit(LET_THROUGH)


def dialling(port: int, seed: int) -> None:
    source = random.Random(seed)
    installed.wait()
    while not stop.is_set():
        dial(port, source.randrange(27))


def installing() -> None:
    """Race the others; whoever loses finds the same list installed."""
    egressguard.install(ALLOW)
    installed.set()
    while not stop.is_set():
        egressguard.install(ALLOW)
        with contextlib.suppress(RuntimeError):
            egressguard.install(("203.0.113.1:1",))
        count("install")
        time.sleep(0.001)


def forking(port: int) -> None:
    """A child dials, and ends within its time: no lock of the guard is held in it by a thread that is not there."""
    installed.wait()
    while not stop.is_set():
        pid = os.fork()
        if pid == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(CHILD_SECONDS)
            for which in range(27):
                dial(port, which)
            os._exit(SURVIVED)
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != SURVIVED:
            os.write(2, f"a forked child ended with {os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(LET_THROUGH)
        count("fork")


INSIDE = """
import socket
for port in ({port}, 9):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.sendto(b"x", ("127.0.0.1", port))
    except RuntimeError as error:
        assert type(error).__name__ == "EgressViolation", error
    else:
        import os
        os._exit({status})
    one.close()
"""


def interpreters() -> Any:
    """Return the module that makes subinterpreters, which every version calls otherwise."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return None


def subinterpreting(port: int) -> None:
    module = interpreters()
    installed.wait()
    while module is not None and not stop.is_set():
        # One of the kind that shares the GIL: CPython's own per-interpreter GIL is not finished in 3.12 and 3.13.
        one = module.create("legacy") if sys.version_info >= (3, 13) else module.create(isolated=False)
        failed = module.run_string(one, INSIDE.format(port=port, status=LET_THROUGH))
        if failed:
            os.write(2, f"in a subinterpreter: {failed}\n".encode())
            os._exit(LET_THROUGH)
        module.destroy(one)
        count("subinterpreter")


def tracing(port: int) -> None:
    def trace(_frame: object, _event: str, _argument: object) -> Any:
        return trace

    installed.wait()
    while not stop.is_set():
        for switch in (sys.settrace, sys.setprofile):
            switch(trace)
            dial(port, 0)
            switch(None)
        count("trace")


def reading() -> None:
    installed.wait()
    while not stop.is_set():
        for one in egressguard.violations(egressguard.violation_count() - 3):
            one.as_dict()
            count("read")
        egressguard._egressguard.posture()
        egressguard.explain("listed.test:80", ALLOW)
        with contextlib.suppress(egressguard.EgressViolation):
            egressguard.raise_pending()


def collecting() -> None:
    while not stop.is_set():
        gc.collect()
        count("collect")
        time.sleep(0.002)


def main(seconds: float, port: int, kind: str) -> None:
    """Run the storm."""
    warnings.simplefilter("ignore", DeprecationWarning)  # that fork in a process with threads is dangerous is the point
    logging.getLogger("egressguard").addHandler(logging.NullHandler())
    logging.getLogger("egressguard").propagate = False
    logging.raiseExceptions = False
    "x".encode(
        "idna"
    )  # CPython imports it in the first getaddrinfo, and a child that is forked meanwhile waits for ever
    gc.set_threshold(50, 2, 2)
    sys.setswitchinterval(0.0005)
    jobs: list[tuple[Callable[..., None], tuple[int, ...]]] = [(dialling, (port, seed)) for seed in range(DIALLING)]
    jobs += [(installing, ())] * 8 + [(forking if kind == "forks" else subinterpreting, (port,))] * 2
    jobs += [(tracing, (port,))] * 4 + [(reading, ())] * 2 + [(collecting, ())]
    threads = [threading.Thread(target=job, args=arguments, daemon=True) for job, arguments in jobs]
    for thread in threads:
        thread.start()
    installed.wait()

    def handler(_number: int, _frame: object) -> None:
        dial(port, random.randrange(27))
        count("signal")

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    wanted = {"refused", "install", "trace", "read", "collect", "signal"}
    if kind == "forks" or interpreters():
        wanted.add("fork" if kind == "forks" else "subinterpreter")
    end = time.monotonic() + seconds
    while time.monotonic() < end or (wanted - set(counts) and time.monotonic() < end + PATIENCE):
        time.sleep(0.01)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if wanted - set(counts) or egressguard.violation_count() == 0:
        os.write(2, f"never happened: {wanted - set(counts)}\n".encode())
        os._exit(INCOMPLETE)
    print(counts, flush=True)
    if kind == "interpreters":  # what is left of these at the end is a fatal error of CPython's
        stop.set()
        for thread in threads:
            thread.join()
    sys.exit(SURVIVED)  # the daemons go on: the interpreter is finalized under them


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
