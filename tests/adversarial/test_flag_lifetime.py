"""ADR-0006: a flag ends with its thread and with the generation it was set in. Each in a pytest run of its own."""

from __future__ import annotations

from pathlib import Path

import children
from beginnings import run_tests


def test_the_next_owner_of_a_thread_id_is_refused(tmp_path: Path) -> None:
    """A thread ends with its flag set; later threads that get its id back are refused, and nobody is counted."""
    run_tests(
        tmp_path,
        """
def test_it(egress_test_loopback, request):
    listener = plain_listener()
    port = listener.getsockname()[1]
    results = []

    def first():
        request.getfixturevalue("mint")(True)
        results.append((threading.get_ident(), word(lambda: dial(port)), egressguard.posture()["loopback_threads"]))

    def next_owner():
        results.append((threading.get_ident(), word(lambda: dial(port))))

    for job in (first, *[next_owner] * 50):
        thread = threading.Thread(target=job)
        thread.start()
        thread.join()
    ident, told, counted = results.pop(0)
    assert (told, counted) == ("done", 2)  # it did hold the flag, beside this thread
    assert ident in [one for one, _ in results]
    assert {told for _, told in results} == {"loopback"}
    end = time.monotonic() + 10  # join returns a moment before the operating system's thread has ended
    while egressguard.posture()["loopback_threads"] > 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert egressguard.posture()["loopback_threads"] == 1
    assert count_accepted(listener) == 1
""",
        conftest=children.ROOT_CONFTEST.read_text() + MINT,
    )


# The capability itself, for tests of a flag that nobody clears: a generated conftest.py may hand it out.
MINT = """

@pytest.fixture
def mint():
    return _set_test_loopback
"""
BEFORE_INSTALL = """
    from egressguard._egressguard import _set_test_loopback
    import threading
    import pytest
    import egressguard

    _set_test_loopback(True)
    started, go = threading.Event(), threading.Event()
    results = []

    def other():
        _set_test_loopback(True)
        started.set()
        go.wait(30)
        results.append(port_dialled())

    def port_dialled():
        from inside import word
        import socket
        return word(lambda: socket.create_connection(("127.0.0.1", 9), 5))

    thread = threading.Thread(target=other)
    thread.start()
    started.wait(30)
    egressguard.install()
    go.set()
    thread.join()

    @pytest.fixture
    def early():
        return [*results, port_dialled()]
"""


def test_a_flag_that_was_set_before_install_is_void(tmp_path: Path) -> None:
    """Code that ran first can have set it, in any thread: `install` advances the generation."""
    run_tests(
        tmp_path,
        """
def test_it(early):
    assert early == ["loopback", "loopback"]
    assert egressguard.posture()["loopback_threads"] == 0
""",
        conftest=BEFORE_INSTALL,
    )
