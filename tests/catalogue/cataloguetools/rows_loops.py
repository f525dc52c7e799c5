"""Event loops, green threads, and resolvers of their own."""

from __future__ import annotations

from cataloguetools.row import BROKEN, CARES, NATIVE, PYTHON, Row

GEVENT = """
import gevent.socket
def dial(host, port):
    return exchange(gevent.socket.create_connection((host, port), 3))
"""
# dnspython 1 is the last that gevent's resolver can be put around, and it wants a name that Python 3.10 took away.
OLD_NAME = "import collections, collections.abc\ncollections.MutableMapping = collections.abc.MutableMapping"
OLD_NAME_NOTE = "and `collections.MutableMapping` put back, which it needs and Python 3.10 removed"
OLD_INSIDES = "gevent replaces insides that dnspython 2 no longer has; its metadata asks for dnspython below 2 and Python below 3.10"
# The exception is another one that dnspython makes of everything: what it was made of tells why.
GEVENT_CAUSE = """
import gevent.socket
def dial(host, port):
    try:
        return exchange(gevent.socket.create_connection((host, port), 3))
    except OSError as error:
        causes = [error]
        while causes[-1].__context__ is not None:
            causes.append(causes[-1].__context__)
        return ", from ".join(dict.fromkeys(f"{type(one).__name__}: {one}" for one in causes))
"""
GRPC = """
import grpc
def dial(host, port):
    channel = grpc.insecure_channel(host + ":" + str(port))
    try:
        grpc.channel_ready_future(channel).result(timeout=2)
    finally:
        channel.close()
"""


def gevent(resolver: str, group: str, **more: object) -> Row:
    """Return gevent with everything patched and one of its resolvers."""
    environment = {"GEVENT_RESOLVER": resolver, "GEVENT_RESOLVER_TIMEOUT": "2"}
    return Row(f"gevent, {resolver} resolver", GEVENT, group, ("gevent",), environment=environment, **more)  # type: ignore[arg-type]


ROWS = [
    Row("trio", """
import trio
async def talk(host, port):
    with trio.fail_after(5):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(REQUEST)
            return await stream.receive_some(4096)
def dial(host, port):
    return trio.run(talk, host, port)
""", needs=("trio",)),
    *(
        Row(f"anyio on {backend}", f"""
import anyio
async def talk(host, port):
    async with await anyio.connect_tcp(host, port) as stream:
        await stream.send(REQUEST)
        return await stream.receive()
def dial(host, port):
    return anyio.run(talk, host, port, backend={backend!r})
""", needs=("anyio", *(("trio",) if backend == "trio" else ())))
        for backend in ("asyncio", "trio")
    ),
    gevent("thread", PYTHON, short=True),
    gevent("block", PYTHON),
    gevent("dnspython", PYTHON, beside=("dnspython",), before=OLD_NAME, note=OLD_NAME_NOTE),
    Row("gevent, dnspython resolver, dnspython 2", GEVENT_CAUSE, needs=("gevent", "dnspython"),
        environment={"GEVENT_RESOLVER": "dnspython", "GEVENT_RESOLVER_TIMEOUT": "2"}, apart=BROKEN,
        raises="'_DualResolver' object has no attribute 'resolve_name'", note=OLD_INSIDES, short=True),
    gevent("ares", CARES),
    Row("gevent, everything patched", """
def dial(host, port):
    return exchange(socket.create_connection((host, port), 3))
""", needs=("gevent",), before="import gevent.monkey; gevent.monkey.patch_all()"),
    Row("eventlet, EVENTLET_NO_GREENDNS", """
def dial(host, port):
    return exchange(socket.create_connection((host, port), 3))
""", needs=("eventlet",), before="import warnings; warnings.simplefilter('ignore')\nimport eventlet; eventlet.monkey_patch()",
        environment={"EVENTLET_NO_GREENDNS": "yes"}),
    Row("uvloop", """
import uvloop
async def talk(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    return await reader.read()
def dial(host, port):
    return uvloop.run(asyncio.wait_for(talk(host, port), 5))
""", NATIVE, ("uvloop",)),
    Row("pycares", """
import ipaddress, pycares
def dial(host, port):
    addresses = []
    try:
        addresses.append(str(ipaddress.ip_address(host)))
    except ValueError:
        done = threading.Event()
        def found(answer, error):
            addresses.extend(node.addr[0].decode() if isinstance(node.addr[0], bytes) else node.addr[0]
                             for node in (answer.nodes if answer else []))
            done.set()
        channel = pycares.Channel(timeout=2, tries=1)
        channel.getaddrinfo(host, None, family=socket.AF_INET, callback=found)
        done.wait(5)
    return exchange(socket.create_connection((addresses[0], port), 3))
""", CARES, ("pycares",)),
    Row("aiodns", """
import aiodns
async def talk(host, port):
    found = await aiodns.DNSResolver(timeout=2, tries=1).getaddrinfo(host, family=socket.AF_INET)
    address = found.nodes[0].addr[0]
    reader, writer = await asyncio.open_connection(address.decode(), port)
    writer.write(REQUEST)
    return await reader.read()
def dial(host, port):
    return run(talk(host, port))
""", CARES, ("aiodns",)),
    Row("dnspython, then a socket", """
import dns.resolver
def dial(host, port):
    address = host if host[0].isdigit() else dns.resolver.resolve(host, lifetime=2)[0].to_text()
    return exchange(socket.create_connection((address, port), 3))
""", needs=("dnspython",)),
    Row("aioquic", """
from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration
async def talk(host, port):
    async with connect(host, port, configuration=QuicConfiguration(is_client=True), wait_connected=False):
        await asyncio.sleep(0.2)
def dial(host, port):
    return asyncio.run(asyncio.wait_for(talk(host, port), 2))
""", needs=("aioquic",), port=8443, answers=False),
    Row("grpcio", GRPC, NATIVE, ("grpcio",), answers=False, short=True),
    Row("grpcio, c-ares resolver", GRPC, NATIVE, ("grpcio",), answers=False, environment={"GRPC_DNS_RESOLVER": "ares"}),
    Row("grpc.aio", """
import grpc.aio
async def talk(host, port):
    async with grpc.aio.insecure_channel(host + ":" + str(port)) as channel:
        await asyncio.wait_for(channel.channel_ready(), 2)
def dial(host, port):
    return asyncio.run(talk(host, port))
""", NATIVE, ("grpcio",), answers=False),
    Row("temporalio", """
import atexit
from temporalio.client import Client
@atexit.register
def end():
    sys.stdout.flush()
    os._exit(0)  # its Rust core can crash at exit, guarded or not (docs/temporal.md)
def dial(host, port):
    return asyncio.run(asyncio.wait_for(Client.connect(host + ":" + str(port)), 2))
""", NATIVE, ("temporalio",), answers=False, short=True),
]  # fmt: skip
