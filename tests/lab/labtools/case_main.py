"""The process of a case: `case_main.py CASE.json`, run inside.

It installs the guard where the case says so, then executes the case's code, and prints as its last line what came of
it. The code finds in its namespace the modules and functions below; its answer is what it leaves in `result`.
"""

import asyncio
import errno
import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import traceback

API, EVIL, RAW, RAW6 = "api.anthropic.com", "evil.test", "198.51.100.66", "2001:db8:bad::66"


def tcp(family: int = socket.AF_INET, timeout: float = 2.0) -> socket.socket:
    """Return a TCP socket that does not wait for ever."""
    result = socket.socket(family, socket.SOCK_STREAM)
    result.settimeout(timeout)
    return result


def udp(family: int = socket.AF_INET, timeout: float = 2.0) -> socket.socket:
    """Return a UDP socket that may broadcast."""
    result = socket.socket(family, socket.SOCK_DGRAM)
    result.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    result.settimeout(timeout)
    return result


def question(*names: str, kind: int = 1, flags: int = 0x0100, tail: bytes = b"", additional: int = 0) -> bytes:
    """Return a DNS message with a question for each name; every detail can be wrong on purpose."""
    message = struct.pack("!6H", 0x1234, flags, len(names), 0, 0, additional)
    for name in names:
        for label in name.encode().split(b"."):
            message += bytes([len(label)]) + label
        message += b"\0" + struct.pack("!HH", kind, 1)
    return message + tail


def attempts(*calls: object) -> list[str]:
    """Make every call, and return what each raised ("" where nothing): one that fails must not hide the next."""
    outcomes = []
    for call in calls:
        try:
            call()  # type: ignore[operator]
            outcomes.append("")
        except Exception as error:
            outcomes.append(type(error).__name__)
    return outcomes


def hello(sock: socket.socket, name: str = API) -> str:
    """Fetch the page behind a connected socket by TLS, as the server of this name; close it."""
    with ssl.create_default_context().wrap_socket(sock, server_hostname=name) as stream:
        stream.sendall(b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n")
        response = b""
        while part := stream.recv(4096):
            response += part
    return response.rpartition(b"\r\n")[2].decode()


def violations() -> list[tuple[str, str, str]]:
    """Return route, host and reason of what the guard has refused."""
    import egressguard

    return [(one.route, one.host, one.reason) for one in egressguard.violations()]


def main() -> None:
    """Run the case and report."""
    with open(sys.argv[1], encoding="utf-8") as file:
        case = json.load(file)
    namespace: dict[str, object] = {
        name: value for name, value in globals().items() if not name.startswith("__") and name != "main"
    }
    namespace["result"] = None
    namespace["__name__"] = "case"
    report: dict[str, object] = {"raised": "", "reason": "", "message": ""}
    exec(compile(case["before"], "<before>", "exec"), namespace)
    if case["guard"]:
        import egressguard

        egressguard.install(**({} if case["allow"] is None else {"allow": tuple(case["allow"])}))
    try:
        exec(compile(case["code"], "<case>", "exec"), namespace)
    except BaseException as error:
        report["raised"] = type(error).__name__
        report["message"] = str(error)
        report["reason"] = getattr(error, "reason", "")
        traceback.print_exc()
    report["result"] = namespace["result"]
    report["violations"] = [list(one) for one in violations()] if case["guard"] else []
    print("\n" + json.dumps(report, default=repr), flush=True)


# asyncio, errno, os, signal, threading and time are here for the cases.
_FOR_CASES = (asyncio, errno, os, signal, threading, time)

if __name__ == "__main__":
    main()
