"""What happens at a violation besides raising: it is logged once and counted exactly."""

from __future__ import annotations

import logging
import socket
import threading

import children
import pytest

import egressguard


def refuse(port: int = 8443, host: str = "203.0.113.9") -> None:
    """Be refused once."""
    with pytest.raises(egressguard.EgressViolation), socket.socket(type=socket.SOCK_DGRAM) as one:
        one.connect((host, port))


def test_it_is_logged_once_at_error(caplog: pytest.LogCaptureFixture) -> None:
    """On logger `egressguard`, with the fields at hand for structured logs, and the call site outside the library."""
    refuse()
    (record,) = [one for one in caplog.records if one.name == "egressguard"]
    assert record.levelno == logging.ERROR
    text = record.getMessage()
    assert "203.0.113.9:8443" in text
    assert "not-listed" in text
    assert "test_journal.py" in text
    assert record.egress["endpoint"] == "203.0.113.9:8443"  # type: ignore[attr-defined]


def test_a_logger_that_is_off_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """The violation is counted all the same."""
    before = egressguard.violation_count()
    caplog.set_level(logging.CRITICAL, "egressguard")
    refuse()
    assert caplog.records == []
    assert egressguard.violation_count() == before + 1


def test_a_record_has_times_process_thread_and_site() -> None:
    """The thread is the kernel's; the site is this file, whatever library is between."""
    before = egressguard.violation_count()
    with pytest.raises(egressguard.EgressViolation):
        socket.create_connection(("203.0.113.9", 8443))
    (violation,) = egressguard.violations(before)
    assert violation.number == before + 1
    assert violation.thread == threading.get_native_id()
    assert violation.file is not None
    assert violation.file.endswith("test_journal.py")
    assert violation.line > 0
    assert violation.wall_ns > 1_700_000_000 * 10**9
    assert (violation.observed, violation.kernel) == (False, False)


def test_the_total_is_exact_with_many_threads() -> None:
    """8 threads, 2,000 refusals each; the ring keeps the last 1,024 or more, numbered without a gap."""
    source = """
        import logging, socket, threading
        from inside import tell
        import egressguard
        logging.disable()
        egressguard.install()
        def work():
            with socket.socket(type=socket.SOCK_DGRAM) as one:
                for _ in range(2000):
                    try:
                        one.connect(("127.0.0.1", 9))
                    except RuntimeError:
                        pass
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        seen = []
        while any(thread.is_alive() for thread in threads):  # readers beside the writers
            seen.append(all(one.host == "127.0.0.1" and one.reason == "loopback" for one in egressguard.violations()))
        numbers = [one.number for one in egressguard.violations()]
        tell([egressguard.violation_count(), len(numbers) >= 1024, numbers == list(range(numbers[0], 16001)), all(seen)])
    """
    assert children.python(source).last() == [16000, True, True, True]


def test_since_leaves_out_what_was_seen() -> None:
    before = egressguard.violation_count()
    refuse(8001)
    middle = egressguard.violation_count()
    refuse(8002)
    assert [one.port for one in egressguard.violations(before)] == [8001, 8002]
    assert [one.port for one in egressguard.violations(middle)] == [8002]
    assert egressguard.violations(egressguard.violation_count()) == []
    assert egressguard.violations(2**60) == []


def test_a_forked_child_writes_into_the_same_journal() -> None:
    """Also one that is killed: the parent's total counts it."""
    source = """
        import os, signal, socket
        from inside import tell, word
        import egressguard
        egressguard.install()
        pid = os.fork()
        if pid == 0:
            word(lambda: socket.socket().connect(("127.0.0.1", 9)))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        word(lambda: socket.socket().connect(("127.0.0.2", 9)))
        tell([egressguard.violation_count(), [one.pid == pid for one in egressguard.violations()]])
    """
    assert children.python(source).last() == [2, [True, False]]


def test_a_record_has_the_ids_of_whoever_dialled() -> None:
    """A child has its own, also where it was forked by the bare system call, which no handler notices."""
    source = """
        import ctypes, os, socket, threading
        from inside import tell, word
        import egressguard
        SYS_FORK = 57
        machine = os.uname().machine
        fork = (lambda: ctypes.CDLL(None).syscall(SYS_FORK)) if machine == "x86_64" else os.fork
        egressguard.install()
        def refuse():
            before = egressguard.violation_count()
            word(lambda: socket.socket().connect(("127.0.0.1", 9)))
            one = egressguard.violations(before)[0]
            return [one.pid, one.thread] == [os.getpid(), threading.get_native_id()]
        def forked(how):
            child = how()
            if child == 0:
                before = egressguard.violation_count()
                word(lambda: socket.socket().connect(("127.0.0.1", 9)))
                one = egressguard.violations(before)[0]
                os._exit(0 if [one.pid, one.thread] == [os.getpid()] * 2 else 1)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        def in_a_thread():
            results.append(refuse())
            results.append(forked(os.fork))
            results.append(refuse())
        results = [refuse(), refuse(), forked(fork), forked(os.fork), refuse()]
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join()
        tell(results)
    """
    assert children.python(source).last() == [True] * 8


def test_a_handler_that_dials_does_not_recurse() -> None:
    """It is refused like everybody and counted, but not logged again: once for each thread that logs."""
    source = """
        import logging, socket, threading
        from inside import tell, word
        import egressguard
        emitted, words = [], []
        class Handler(logging.Handler):
            def emit(self, record):
                emitted.append(record.getMessage())
                words.append(word(lambda: socket.create_connection(("127.0.0.1", 9))))
        logging.getLogger("egressguard").addHandler(Handler())
        logging.getLogger("egressguard").propagate = False
        egressguard.install()
        def dial(port):  # a port of its own: the same refusal is not logged each time
            words.append(word(lambda: socket.create_connection(("127.0.0.1", port))))
        dial(10)
        dial(11)
        thread = threading.Thread(target=dial, args=(12,))
        thread.start()
        thread.join()
        tell([len(emitted), words, egressguard.violation_count()])
    """
    assert children.python(source).last() == [3, ["loopback"] * 6, 6]


def test_before_install_there_is_none() -> None:
    source = """
        from inside import tell
        import egressguard
        tell([egressguard.violation_count(), egressguard.violations()])
    """
    assert children.python(source).last() == [0, []]
