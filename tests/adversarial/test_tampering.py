"""Tampering with everything that Python can rebind. What enforces is C, and none of this is read there."""

from __future__ import annotations

import children
import pytest
from beginnings import HOSTILE as PREAMBLE
from listeners import Endpoint

TAMPERING = {
    "the Python half is deleted": "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('egressguard')]",
    "the exception is replaced": "egressguard.EgressViolation = egressguard._egressguard.EgressViolation = OSError",
    "the report is replaced": "egressguard._report.report = lambda number: None; egressguard._egressguard.set_listener(None)",
    "the report raises": "egressguard._egressguard.set_listener(lambda number: 1 / 0)",
    "the report exits": "egressguard._egressguard.set_listener(lambda number: sys.exit(3))",
    "logging is broken": "import logging; logging.getLogger = logging.Logger.error = None",
    "built-ins are replaced": "import builtins; builtins.RuntimeError = builtins.Exception = builtins.isinstance = None",
    "socket is reloaded": "import importlib; importlib.reload(socket); importlib.reload(_socket)",
    "sys.modules is emptied": "kept = dict(sys.modules); sys.modules.clear(); sys.modules.update(sys=sys, builtins=kept['builtins'])",
    "the class is patched": "socket.socket.connect = lambda self, address: super(socket.socket, self).connect(address)",
    "the type's flags are asked": "socket.socket.__setattr__ = object.__setattr__",
}


# These change what is raised, if Python lets them; never whether.
SPOILING = {
    "the constructor raises": "V.__init__ = lambda *a: 1 / 0",
    "the constructor exits": "V.__init__ = lambda *a: sys.exit(0)",
    "__new__ makes something else": "V.__new__ = lambda *a: 5",
    "__new__ makes an object": "V.__new__ = lambda *a: Anything()",
    "__new__ makes None": "V.__new__ = lambda *a: None",
    "attributes cannot be set": "V.__setattr__ = lambda *a: 1 / 0",
    "attributes are swallowed": "V.__setattr__ = lambda *a: None",
    "the fields are properties": "V.host = V.port = V.reason = property(lambda self: 1 / 0)",
    "the text cannot be made": "V.__str__ = V.__repr__ = lambda *a: 1 / 0",
    "the base classes are changed": "V.__bases__ = (OSError,)",
    "__new__ makes a class": "V.__new__ = lambda *a: int",
    "the interpreter's dictionary holds a number": "own()['egressguard'] = 5",
    "the interpreter's dictionary holds another's capsule": "own()['egressguard'] = _socket.CAPI",
    "the interpreter's dictionary is empty": "own().clear()",
    "the constructor empties the interpreter's dictionary": "V.__init__ = lambda *a: own().clear()",
    "the listener empties the interpreter's dictionary": "own().clear(); set_listener(lambda number: own().clear())",
    "the listener dials": "own().clear(); set_listener(lambda number: socket.socket().connect(here))",
}


@pytest.mark.parametrize("spoiling", SPOILING)
@pytest.mark.parametrize("route", ["connect", "sendto", "getaddrinfo"])
def test_spoiling_the_exception(spoiling: str, route: str, listener: Endpoint) -> None:
    """The type is an object of Python, and so is the dictionary in which the interpreter keeps it."""
    call = {
        "connect": "socket.socket().connect(here)",
        "sendto": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', here)",
        "getaddrinfo": "_socket.getaddrinfo('forbidden.example', 9)",
    }[route]
    source = f"""{PREAMBLE}
import ctypes
import egressguard
from egressguard._egressguard import set_listener
class Anything(RuntimeError): pass
api = ctypes.pythonapi
api.PyInterpreterState_Get.restype = api.PyInterpreterState_GetDict.restype = ctypes.c_void_p
api.PyInterpreterState_GetDict.argtypes = [ctypes.c_void_p]
def own():
    return ctypes.cast(api.PyInterpreterState_GetDict(api.PyInterpreterState_Get()), ctypes.py_object).value
egressguard.install(())
assert "egressguard" in own()
V = egressguard.EgressViolation
try:
    {SPOILING[spoiling]}
except TypeError:
    pass
for _ in range(3):
    try:
        {call}
        tell("through")
    except BaseException as error:
        tell(type(error).__name__)
"""
    told = children.python(source, listener.port, "guarded").told()
    assert len(told) == 3
    assert "through" not in told
    assert listener.seen() == []


@pytest.mark.parametrize("tampering", TAMPERING)
def test_tampering_in_python(tampering: str, listener: Endpoint) -> None:
    """What enforces is C, and nothing that Python can rebind is read there."""
    source = f"""{PREAMBLE}
def attempt():
    try:
        socket.socket().connect(here)
    except BaseException as error:
        return type(error).__name__, getattr(error, "reason", None)
    return "connected", None
import egressguard
egressguard.install(())
{TAMPERING[tampering]}
sys.stdout.write('@told ["%s", "%s"]\\n' % attempt())
"""
    child = children.python(source, listener.port, "guarded")
    assert child.last() == ["EgressViolation", "loopback"]
    assert listener.seen() == []
