"""Ways for code to get at a method of a socket: all those that a patch in Python would miss.

`prepare()` runs before install and captures what hostile code could have captured; `all_of()` runs after it. A reach is
`make(name, family, type, protocol) -> (socket, callable)`.
"""

from __future__ import annotations

import _socket
import functools
import importlib
import importlib.machinery
import importlib.util
import operator
import shutil
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Make = Callable[..., tuple[Any, Callable[..., Any]]]
METHODS = ("connect", "connect_ex", "sendto", "sendmsg")
LOOPS = 3000  # far beyond where 3.11 to 3.13 specialise a call


def from_class(kind: Any) -> Make:
    """Reach the methods of new objects of a class."""

    def make(name: str, *spec: int) -> tuple[Any, Callable[..., Any]]:
        made = kind(*spec)
        return made, getattr(made, name)

    return make


class Subclass(socket.socket):
    """A subclass that changes nothing."""


class Super(_socket.socket):
    """A subclass with methods of its own, which end in super()."""

    def connect(self, address: Any) -> None:
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        return super().connect_ex(address)

    def sendto(self, *arguments: Any) -> int:
        return super().sendto(*arguments)

    def sendmsg(self, *arguments: Any) -> int:
        return super().sendmsg(*arguments)


def descriptors() -> Make:
    """Reach method descriptors that were captured now."""
    captured = {name: _socket.socket.__dict__[name] for name in METHODS}

    def make(name: str, *spec: int) -> tuple[Any, Callable[..., Any]]:
        made = _socket.socket(*spec)
        return made, functools.partial(captured[name], made)

    return make


def bound_methods() -> Make:
    """Reach bound methods of sockets that were made now."""
    captured: dict[Any, list[tuple[Any, Callable[..., Any]]]] = {}
    for name in METHODS:
        for spec in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)):
            made = [_socket.socket(*spec) for _ in range(3)]
            captured[name, spec] = [(one, getattr(one, name)) for one in made]
    return lambda name, *spec: captured[name, spec].pop()


def warm_bytecode() -> Make:
    """Reach through functions whose bytecode was specialised for the original method."""
    functions: dict[str, Callable[..., Any]] = {}
    sink = _socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    warm = _socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own: tuple[Any, ...] = sink.getsockname()
    arguments = {"connect": (own,), "connect_ex": (own,), "sendto": (b"", own), "sendmsg": ([b""], [], 0, own)}
    for name in METHODS:
        text = f"def call(one, *arguments): return one.{name}(*arguments)\ndef one(one, a): return one.{name}(a)\n"
        text += f"def two(one, a, b): return one.{name}(a, b)\n"
        scope: dict[str, Any] = {}
        exec(text, scope)
        function = {1: scope["one"], 2: scope["two"]}.get(len(arguments[name]), scope["call"])
        for _ in range(LOOPS):
            function(warm, *arguments[name])
        functions[name] = function
        functions[f"{name} of any arity"] = scope["call"]

    def make(name: str, *spec: int) -> tuple[Any, Callable[..., Any]]:
        made = _socket.socket(*spec)
        arity = len(arguments[name])

        def call(*given: Any) -> Any:
            return functions[name if len(given) == arity else f"{name} of any arity"](made, *given)

        return made, call

    return make


def method_caller() -> Make:
    """Reach through operator.methodcaller."""

    def make(name: str, *spec: int) -> tuple[Any, Callable[..., Any]]:
        made = socket.socket(*spec)
        return made, lambda *given: operator.methodcaller(name, *given)(made)

    return make


def other_thread() -> Make:
    """Reach from a new thread; what it raises is raised here."""

    def make(name: str, *spec: int) -> tuple[Any, Callable[..., Any]]:
        made = socket.socket(*spec)

        def call(*given: Any) -> Any:
            results: list[Any] = []

            def work() -> None:
                try:
                    results.append(getattr(made, name)(*given))
                except BaseException as error:
                    results.append(error)

            thread = threading.Thread(target=work)
            thread.start()
            thread.join(30)
            if isinstance(results[0], BaseException):
                raise results[0]
            return results[0]

        return made, call

    return make


def same_descriptor() -> Make:
    """Reach through a second object over the same descriptor."""

    def make(name: str, *spec: int) -> tuple[Any, Callable[..., Any]]:
        first = _socket.socket(*spec)
        second = socket.fromfd(first.fileno(), *spec)
        return (first, second), getattr(second, name)

    return make


def prepare() -> dict[str, Make]:
    """Return the reaches that exist before install."""
    return {
        "socket.socket": from_class(socket.socket),
        "_socket.socket": from_class(_socket.socket),
        "_socket.SocketType": from_class(_socket.SocketType),
        "a subclass": from_class(Subclass),
        "super()": from_class(Super),
        "captured descriptors": descriptors(),
        "captured bound methods": bound_methods(),
        "specialised bytecode": warm_bytecode(),
        "operator.methodcaller": method_caller(),
        "another thread": other_thread(),
        "socket.fromfd": same_descriptor(),
    }


def load_copy(folder: Path, name: str) -> Any:
    """Load a copy of the file of `_socket`, which brings method tables of its own."""
    target = folder / Path(_socket.__file__).name
    shutil.copy(_socket.__file__, target)
    loader = importlib.machinery.ExtensionFileLoader(name, str(target))
    spec = importlib.util.spec_from_file_location(name, target, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def reimported() -> Any:
    """Import `_socket` again after deleting it from sys.modules."""
    kept = sys.modules.pop("_socket")
    try:
        return importlib.import_module("_socket")
    finally:
        sys.modules["_socket"] = kept


def reloaded() -> Any:
    """Reload `_socket`, and hand out what the module holds then."""
    return importlib.reload(sys.modules["_socket"])


def all_of(prepared: dict[str, Make], folder: Path) -> dict[str, Make]:
    """Return all reaches; call it after install, if there is one."""
    found = dict(prepared)
    found["_socket imported again"] = from_class(reimported().socket)
    found["_socket reloaded"] = from_class(reloaded().socket)
    if getattr(_socket, "__file__", None):  # else it is built into the interpreter, and there is no file to copy
        found["a copy of _socket"] = from_class(load_copy(folder, "_socket").socket)
    return found


COPIES = {"a copy of _socket"}
