"""The standard library's clients, and child processes."""

from __future__ import annotations

from cataloguetools.row import CHILD, NATIVE, Row

ROWS = [
    Row("socket.create_connection", """
def dial(host, port):
    return exchange(socket.create_connection((host, port), 3))
""", short=True),
    Row("socket, UDP", """
def dial(host, port):
    sender = udp()
    sender.sendto(b"datagram", (host, port))
""", port=8443, answers=False),
    Row("urllib.request", """
import urllib.request
def dial(host, port):
    return urllib.request.urlopen(url(host, port), timeout=3).read()
"""),
    Row("http.client", """
import http.client
def dial(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=3)
    connection.request("GET", "/")
    return connection.getresponse().read()
"""),
    Row("ssl", """
def dial(host, port):
    context = ssl.create_default_context()
    context.check_hostname = False
    return exchange(context.wrap_socket(socket.create_connection((host, port), 3), server_hostname=host))
""", port=8443),
    Row("xmlrpc.client", """
import xmlrpc.client
def dial(host, port):
    return xmlrpc.client.ServerProxy(url(host, port)).system.listMethods()
""", answers=False),
    Row("smtplib", """
import smtplib
def dial(host, port):
    smtplib.SMTP(host, port, timeout=1)
""", answers=False),
    Row("ftplib", """
import ftplib
def dial(host, port):
    ftplib.FTP().connect(host, port, 1)
""", answers=False),
    Row("imaplib", """
import imaplib
def dial(host, port):
    imaplib.IMAP4(host, port, 1)
""", answers=False),
    Row("logging.handlers.SysLogHandler", """
import logging.handlers
def dial(host, port):
    handler = logging.handlers.SysLogHandler((host, port))
    handler.emit(logging.makeLogRecord({"msg": "hello"}))
""", port=8443, answers=False),
    Row("asyncio.open_connection", """
async def talk(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    return await reader.read()
def dial(host, port):
    return run(talk(host, port))
""", short=True),
    Row("asyncio, happy eyeballs", """
async def talk(host, port):
    reader, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.2)
    writer.write(REQUEST)
    return await reader.read()
def dial(host, port):
    return run(talk(host, port))
"""),
    Row("asyncio, datagrams", """
async def talk(host, port):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, port))
    transport.sendto(b"datagram")
    await asyncio.sleep(0.05)
def dial(host, port):
    return run(talk(host, port))
""", port=8443, answers=False),
    Row("_socket, no socket module", """
import _socket
def dial(host, port):
    connection = _socket.socket()
    connection.settimeout(3)
    connection.connect((host, port))
    connection.sendall(REQUEST)
    return connection.recv(4096)
"""),
    Row("ctypes, the C library's own calls", """
import ctypes
libc = ctypes.CDLL(None)
libc.gethostbyname.restype = ctypes.c_void_p
class Entry(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("aliases", ctypes.c_void_p), ("kind", ctypes.c_int),
                ("length", ctypes.c_int), ("addresses", ctypes.POINTER(ctypes.POINTER(ctypes.c_ubyte * 4)))]
def dial(host, port):
    found = libc.gethostbyname(host.encode())
    if not found:
        return "no such host"
    address = bytes(Entry.from_address(found).addresses[0].contents)
    name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + address + bytes(8)
    descriptor = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    if libc.connect(descriptor, name, len(name)):
        return "not connected"
    return exchange(socket.socket(fileno=descriptor))
""", NATIVE),
    Row("os.fork", """
def dial(host, port):
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.write(writing, exchange(socket.create_connection((host, port), 3)))
        finally:
            os._exit(0)
    os.close(writing)
    os.wait()
    return os.read(reading, 4096)
""", short=True),
    *(
        Row(f"multiprocessing, {method}", f"""
import multiprocessing, urllib.request
def dial(host, port):
    child = multiprocessing.get_context({method!r}).Process(target=urllib.request.urlopen, args=(url(host, port), None, 3))
    child.start()
    child.join()
""", CHILD, answers=False, expected=expected, note=note)
        for method, expected, note in (
            ("fork", "enforced", "the child inherits the guard"),
            ("spawn", "", ""),
            ("forkserver", "", ""),
        )
    ),
    Row("subprocess, Python", """
import subprocess
def dial(host, port):
    code = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"
    return subprocess.run([sys.executable, "-I", "-c", code, url(host, port)], capture_output=True, text=True).stdout
""", CHILD, short=True),
    Row("curl", """
import subprocess
def dial(host, port):
    return subprocess.run(["curl", "-sm3", url(host, port)], capture_output=True, text=True).stdout
""", CHILD, program="curl", short=True),
    Row("node", """
import subprocess
def dial(host, port):
    code = "fetch(process.argv[1]).then(r => r.text()).then(console.log)"
    return subprocess.run(["node", "-e", code, url(host, port)], capture_output=True, text=True, timeout=10).stdout
""", CHILD, program="node"),
]  # fmt: skip
