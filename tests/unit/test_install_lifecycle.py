"""`install` at the edges of an interpreter's life, and what the environment cannot change."""

from __future__ import annotations

import textwrap
from pathlib import Path

import children
import interpreters
import pytest
from listeners import Endpoint

SUBINTERPRETER = """
import json, os, sys
import interpreters
from inside import tell
import egressguard
if sys.argv[2] == "after":
    egressguard.install(["203.0.113.5:9"])
inner = '''
import json, os, sys
sys.path[:] = PATH
import egressguard
told = []
for allow in (["203.0.113.5:9"], ["203.0.113.6:9"]):
    try:
        egressguard.install(allow)
        told.append("done")
    except RuntimeError as error:
        told.append(str(error))
try:
    egressguard._egressguard._set_test_loopback
    told.append("a capability")
except (AttributeError, RuntimeError) as error:
    told.append(str(error))
os.write(PIPE, json.dumps(told).encode())
'''
reading, writing = os.pipe()
one = interpreters.create(sys.argv[1])
interpreters.run(one, inner.replace("PATH", repr(sys.path)).replace("PIPE", str(writing)))
tell(json.loads(os.read(reading, 65536)))
tell(egressguard.posture()["installed"])
"""


@pytest.mark.parametrize("gil", interpreters.GILS)
def test_in_a_subinterpreter(gil: str) -> None:
    """It is for the main interpreter: what a subinterpreter is given back would end with it."""
    told, installed = children.python(SUBINTERPRETER, gil, "before").told()
    assert all("for the main interpreter" in text for text in told[:2])
    assert "main interpreter only" in told[2]
    assert installed is False


@pytest.mark.parametrize("gil", interpreters.GILS)
def test_in_a_subinterpreter_of_a_guarded_process(gil: str) -> None:
    """The same list does nothing, another one raises, and there is no capability."""
    told, installed = children.python(SUBINTERPRETER, gil, "after").told()
    assert told[0] == "done"
    assert "already installed with another allowlist" in told[1]
    assert "no attribute '_set_test_loopback'" in told[2]
    assert installed is True


def test_in_sitecustomize(listener: Endpoint, tmp_path: Path) -> None:
    """Before the program's first line, and before anything but `site` was imported."""
    (tmp_path / "sitecustomize.py").write_text("import egressguard; egressguard.install()\n")
    source = """
        import socket, sys
        from inside import tell, word
        tell(word(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)))
    """
    path = f"{tmp_path}:{children.SUPPORT}"
    assert children.python(source, listener.port, env={"PYTHONPATH": path}).last() == "loopback"
    assert listener.seen() == []


FINALIZING = """
import atexit, os, socket, sys
import _socket
import egressguard
def dial(connect=_socket.socket.connect, kind=_socket.socket, here=("127.0.0.1", int(sys.argv[1])), write=os.write,
         text=str):
    one = kind()
    try:
        connect(one, here)
        told = "connected"
    except BaseException as error:
        told = type(error).__name__ + " " + text(getattr(error, "reason", error))
    write(1, ("@told \\"" + told + "\\"\\n").encode())
"""


def test_in_an_atexit_function(listener: Endpoint) -> None:
    """Registered last, so run first: the functions after it are refused."""
    source = f"{FINALIZING}\natexit.register(dial)\natexit.register(egressguard.install)\n"
    assert children.python(source, listener.port).told() == ["EgressViolation loopback"]
    assert listener.seen() == []


def test_during_finalization_it_raises(listener: Endpoint) -> None:
    """Objects that die with their modules: it is too late to guard anything, and it says so."""
    source = (
        FINALIZING
        + """
class Late:
    def __del__(self, install=egressguard._egressguard.install, write=os.write, text=str):
        try:
            install(None)
            told = "installed"
        except RuntimeError as error:
            told = text(error)
        write(1, ("@told \\"" + told + "\\"\\n").encode())
sys.modules["zzz"] = Late()
late = Late()
"""
    )
    told = children.python(source, listener.port).told()
    assert told
    assert set(told) == {"egressguard.install(): the interpreter is shutting down"}


def test_a_dial_during_finalization_is_refused(listener: Endpoint) -> None:
    """Module globals are gone, `logging` too: the verdict needs neither."""
    source = (
        FINALIZING
        + """
class Late:
    def __del__(self, dial=dial): dial()
egressguard.install()
sys.modules["zzz"] = Late()
late = Late()
"""
    )
    told = children.python(source, listener.port).told()
    assert len(told) == 2
    # Very late the interpreter has no dict any more to keep the exception's type in: refused all the same.
    assert all("loopback" in one or "shutting down" in one for one in told)
    assert listener.seen() == []


def test_daemon_threads_that_dial_until_the_end(listener: Endpoint) -> None:
    """The interpreter ends under them: no crash, and nothing arrives."""
    source = """
        import logging, socket, sys, threading, time
        import egressguard
        logging.disable()
        egressguard.install()
        def work(here):
            while True:
                try:
                    socket.socket().connect(here)
                except RuntimeError:
                    pass
        for _ in range(4):
            threading.Thread(target=work, args=(("127.0.0.1", int(sys.argv[1])),), daemon=True).start()
        time.sleep(0.1)
    """
    for _ in range(3):
        child = children.python(source, listener.port)
        assert (child.code, child.err) == (0, "")
    assert listener.seen() == []


VARIABLES = {
    name: value
    for value in ("1", "127.0.0.1:*", "*")
    for name in (
        "CODEGENIE_TEST_ALLOW_LOOPBACK",
        "EGRESSGUARD_ALLOW",
        "EGRESSGUARD_ALLOWLIST",
        "EGRESSGUARD_DISABLE",
        "EGRESSGUARD_OBSERVE",
        "EGRESSGUARD_TEST_LOOPBACK",
        "EGRESSGUARD_DEBUG",
        "PYTEST_CURRENT_TEST",
        "CI",
    )
}


def test_no_environment_variable_has_an_effect(listener: Endpoint) -> None:
    """ADR-0006: one export in CI must not widen anything. (test_packaging.py: the extension imports no getenv.)"""
    source = """
        import os, socket, sys
        from inside import tell, word
        import egressguard
        egressguard.install()
        os.environ.update({key: "0" for key in os.environ if key.startswith("EGRESSGUARD")})
        tell([word(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)),
              egressguard.posture()["allowlist"], egressguard.posture()["capability"]])
    """
    told = children.python(source, listener.port, env=VARIABLES).last()
    assert told == ["loopback", ["api.anthropic.com:443"], "gone"]
    assert listener.seen() == []


def test_there_is_no_way_back(listener: Endpoint) -> None:
    """No function of the package or of the extension that could undo it, and a reload brings none."""
    source = textwrap.dedent("""
        import importlib, socket, sys
        from inside import tell, word
        import egressguard
        from egressguard import _egressguard
        egressguard.install()
        names = {name for module in (egressguard, _egressguard, egressguard.EgressGuard) for name in dir(module)}
        told = sorted(name for name in names for part in ("uninstall", "disable", "remove", "undo", "unpatch", "loopback")
                      if part in name)
        for name in [name for name in sys.modules if name.startswith("egressguard")]:
            del sys.modules[name]
        again = importlib.import_module("egressguard")
        importlib.reload(again)
        tell([told, again.posture()["installed"], again.posture()["capability"],
              word(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5))])
    """)
    assert children.python(source, listener.port).last() == [[], True, "gone", "loopback"]
    assert listener.seen() == []
