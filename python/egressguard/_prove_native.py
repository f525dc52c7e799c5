"""The routes past CPython's socket layer, for `egressguard prove`: the kernel layer alone can stop these."""

from __future__ import annotations

import shutil
import socket
import struct
import sys
from typing import Any

from egressguard._prove_routes import Absent, Guard, Target, command, route

# connect(2) by machine; where it is not known, that one route is left out.
SYS_CONNECT = {"x86_64": 42, "aarch64": 203, "riscv64": 203, "s390x": 362, "ppc64le": 328}
SYS_IO_URING_SETUP, SYS_IO_URING_ENTER = 425, 426  # the same on every architecture but Alpha
IORING_OP_CONNECT = 16


def _libc() -> Any:
    try:
        import ctypes  # noqa: PLC0415  most processes must not load it
    except ImportError as error:
        raise Absent("no ctypes") from error
    return ctypes.CDLL(None, use_errno=True)


def _address(target: Target) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", target.port, socket.inet_aton(target.host))


def _check(result: int) -> None:
    if result != 0:
        import ctypes  # noqa: PLC0415

        raise OSError(ctypes.get_errno(), "refused by the operating system")


@route("connect of libc, by ctypes", layer="kernel")
def libc_connect(target: Target, guard: Guard) -> None:
    """As any C extension or Rust core does it."""
    libc, address = _libc(), _address(target)
    guard()
    one = socket.socket()
    _check(libc.connect(one.fileno(), address, len(address)))


@route("the system call itself, by ctypes", layer="kernel")
def system_call(target: Target, guard: Guard) -> None:
    """Past the C library, as Go does it."""
    import os  # noqa: PLC0415

    number = SYS_CONNECT.get(os.uname().machine)
    if number is None:
        raise Absent("the number of the system call is not known for this machine")
    libc, address = _libc(), _address(target)
    guard()
    one = socket.socket()
    _check(libc.syscall(number, one.fileno(), address, len(address)))


@route("io_uring", layer="kernel")
def io_uring(target: Target, guard: Guard) -> None:
    """A connect that is queued in shared memory, past every filter of system calls (io_uring_enter(2))."""
    import ctypes  # noqa: PLC0415
    import mmap  # noqa: PLC0415

    libc, address = _libc(), ctypes.create_string_buffer(_address(target))
    guard()
    parameters = ctypes.create_string_buffer(120)
    ring = libc.syscall(SYS_IO_URING_SETUP, 1, parameters)
    if ring < 0 and not target.guarded:
        raise Absent("io_uring is switched off here")
    _check(min(ring, 0))
    tail, mask, array = (struct.unpack_from("=I", parameters, at)[0] for at in (44, 48, 64))
    queue = mmap.mmap(ring, array + 4, flags=mmap.MAP_SHARED, offset=0)
    entries = mmap.mmap(ring, 64, flags=mmap.MAP_SHARED, offset=0x10000000)
    one = socket.socket()
    # opcode, flags, priority, descriptor, offset (here: the size of the address), address
    struct.pack_into("=BBHiQQ", entries, 0, IORING_OP_CONNECT, 0, 0, one.fileno(), 16, ctypes.addressof(address))
    struct.pack_into("=I", queue, array, 0 & mask)
    struct.pack_into("=I", queue, tail, 1)
    _check(min(libc.syscall(SYS_IO_URING_ENTER, ring, 1, 1, 1, None, 0), 0))


@route("another Python", layer="kernel")
def other_python(target: Target, guard: Guard) -> None:
    """A child that never heard of the guard."""
    guard()
    source = f"import socket; socket.create_connection(({target.host!r}, {target.port}), 2)"
    command([sys.executable, "-I", "-c", source])


@route("bash /dev/tcp", layer="kernel")
def bash(target: Target, guard: Guard) -> None:
    """A shell that dials by itself."""
    program = shutil.which("bash")
    if program is None:
        raise Absent("no bash")
    guard()
    command([program, "--norc", "-c", f"exec 3<>/dev/tcp/{target.host}/{target.port}"])


@route("curl", layer="kernel")
def curl(target: Target, guard: Guard) -> None:
    """A program that is nearly everywhere."""
    program = shutil.which("curl")
    if program is None:
        raise Absent("no curl")
    guard()
    # -q: no configuration file. Nobody answers, so it gives up: what counts is that it connected.
    command([program, "-q", "-s", "--noproxy", "*", "--max-time", "1", f"http://{target.host}:{target.port}/"])
