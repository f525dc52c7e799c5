"""How programs reach a host: each entry fetches the page of `api.anthropic.com` once, as `once()`, from scratch."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = "hello from outside"


@dataclass(frozen=True)
class Client:
    """A way to fetch the page."""

    name: str
    code: str
    tries_all: bool = True  # goes on to the next address where one does not answer
    own_resolver: bool = False  # asks the name server by itself
    answers_seen: bool = True  # by UDP over Python's sockets: else the guard cannot know what it was answered
    asks_by_tcp: bool = True  # where UDP did not do; Python code may not, for a connected stream is not judged

    def __str__(self) -> str:
        """Name the row in pytest's output."""
        return self.name


def expression(name: str, code: str, **more: bool) -> Client:
    """Return a client that is one expression."""
    return Client(name, f"def once():\n    return {code}", **more)


SOCKETS = [
    expression("create_connection", "hello(socket.create_connection((API, 443), 3))"),
    expression("create_connection, service name", "hello(socket.create_connection((API, 'https'), 3))"),
    expression("create_connection, upper case", "hello(socket.create_connection(('API.Anthropic.COM', 443), 3))"),
    expression("create_connection, trailing dot", "hello(socket.create_connection((API + '.', 443), 3))"),
    expression("create_connection, bytes", "hello(socket.create_connection((API.encode(), 443), 3))"),
    Client("connect to a name", "def once():\n    s = tcp()\n    s.connect((API, 443))\n    return hello(s)",
           tries_all=False),
    Client("connect to a bytearray", "def once():\n    s = tcp()\n    s.connect((bytearray(API.encode()), 443))\n"
           "    return hello(s)", tries_all=False),
    Client("connect_ex to a name", "def once():\n    s = tcp()\n    assert s.connect_ex((API, 443)) == 0\n"
           "    return hello(s)", tries_all=False),
    Client("two steps", """
def once():
    for family, kind, protocol, _, address in socket.getaddrinfo(API, PORT, type=socket.SOCK_STREAM):
        s = socket.socket(family, kind, protocol)
        s.settimeout(3)
        try:
            s.connect((address[0], 443, *address[2:]))
        except OSError:
            continue
        return hello(s)
PORT = 443
"""),
    Client("two steps, canonical name", """
def once():
    flags = socket.AI_CANONNAME | socket.AI_ADDRCONFIG
    for family, kind, protocol, name, address in socket.getaddrinfo(API, "https", 0, socket.SOCK_STREAM, 0, flags):
        s = socket.socket(family, kind, protocol)
        if s.connect_ex(address) == 0:
            return hello(s)
"""),
    Client("two steps, no port", """
def once():
    s = tcp()
    s.connect((socket.gethostbyname(API), 443))
    return hello(s)
""", tries_all=False),
    Client("two steps, getaddrinfo without a port", """
def once():
    s = tcp()
    s.connect((socket.getaddrinfo(API, None, socket.AF_INET)[0][4][0], 443))
    return hello(s)
""", tries_all=False),
    Client("two steps, gethostbyname_ex", """
def once():
    for address in socket.gethostbyname_ex(API)[2]:
        s = tcp()
        if s.connect_ex((address, 443)) == 0:
            return hello(s)
"""),
    Client("UDP", """
def once():
    s = udp()
    s.sendto(b"hello from outside", (API, 443))
    return s.recv(100).decode()
""", tries_all=False),
]  # fmt: skip

LIBRARIES = [
    Client("http.client", """
import http.client
def once():
    connection = http.client.HTTPSConnection(API, timeout=3)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()
"""),
    expression("urllib", "__import__('urllib.request').request.urlopen('https://api.anthropic.com/').read().decode()"),
    expression("requests", "__import__('requests').get('https://api.anthropic.com/', timeout=3).text"),
    expression("urllib3", "__import__('urllib3').PoolManager(ca_certs=os.environ['LAB_CA'])"
               ".request('GET', 'https://api.anthropic.com/').data.decode()"),
    expression("httpx", "__import__('httpx').get('https://api.anthropic.com/').text"),
    Client("httpx, async", """
import httpx
async def fetch():
    async with httpx.AsyncClient() as client:
        return (await client.get("https://api.anthropic.com/")).text
def once():
    return asyncio.run(fetch())
"""),
    Client("aiohttp", """
import aiohttp
async def fetch():
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get("https://api.anthropic.com/") as response:
            return await response.text()
def once():
    return asyncio.run(fetch())
"""),
    Client("websockets", """
import websockets
async def fetch():
    async with websockets.connect("wss://api.anthropic.com/ws") as connection:
        await connection.send("hello from outside")
        return await connection.recv()
def once():
    return asyncio.run(fetch())
"""),
    Client("websockets, sync", """
import websockets.sync.client
def once():
    with websockets.sync.client.connect("wss://api.anthropic.com/ws") as connection:
        connection.send("hello from outside")
        return connection.recv()
"""),
    Client("anthropic", """
import anthropic
def once():
    client = anthropic.Anthropic(api_key="lab", max_retries=0)
    message = client.messages.create(model="lab", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
    return message.content[0].text
"""),
    Client("anthropic, async", """
import anthropic
async def fetch():
    async with anthropic.AsyncAnthropic(api_key="lab", max_retries=0) as client:
        message = await client.messages.create(
            model="lab", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
        return message.content[0].text
def once():
    return asyncio.run(fetch())
"""),
]  # fmt: skip

ASYNCIO = """
async def fetch(**more):
    reader, writer = await asyncio.open_connection(API, 443, ssl=ssl.create_default_context(), **more)
    writer.write(b"GET / HTTP/1.0\\r\\nHost: lab\\r\\n\\r\\n")
    response = await reader.read()
    writer.close()
    return response.rpartition(b"\\r\\n")[2].decode()
"""
LOOPS = [
    Client("asyncio", ASYNCIO + "def once():\n    return asyncio.run(fetch())"),
    Client("asyncio, happy eyeballs", ASYNCIO + "def once():\n    return asyncio.run(fetch(happy_eyeballs_delay=0.1))"),
    Client("asyncio, two steps", """
async def fetch():
    loop = asyncio.get_running_loop()
    for family, kind, protocol, _, address in await loop.getaddrinfo(API, 443, type=socket.SOCK_STREAM):
        s = socket.socket(family, kind, protocol)
        s.setblocking(False)
        try:
            await loop.sock_connect(s, address)
        except OSError:
            continue
        s.settimeout(3)
        return hello(s)
def once():
    return asyncio.run(fetch())
"""),
    Client("trio", """
import trio
async def fetch():
    stream = await trio.open_ssl_over_tcp_stream(API, 443, https_compatible=True)
    await stream.send_all(b"GET / HTTP/1.0\\r\\nHost: lab\\r\\n\\r\\n")
    return b"".join([part async for part in stream]).rpartition(b"\\r\\n")[2].decode()
def once():
    return trio.run(fetch)
"""),
    Client("anyio", """
import anyio
async def fetch():
    async with await anyio.connect_tcp(API, 443, tls=True, tls_standard_compatible=False) as stream:
        await stream.send(b"GET / HTTP/1.0\\r\\nHost: lab\\r\\n\\r\\n")
        return b"".join([part async for part in stream]).rpartition(b"\\r\\n")[2].decode()
def once():
    return anyio.run(fetch)
"""),
    expression("gevent", "hello(__import__('gevent.socket').socket.create_connection((API, 443), 3))"),
    Client("gevent, patched", """
import gevent.monkey
gevent.monkey.patch_all()
import urllib.request
def once():
    job = gevent.spawn(lambda: urllib.request.urlopen("https://api.anthropic.com/").read().decode())
    return job.get(timeout=5)
"""),
]  # fmt: skip

FIRST_THAT_ANSWERS = """
def fetch_from(addresses):
    for address in addresses:
        s = tcp()
        if s.connect_ex((address, 443)) == 0:
            return hello(s)
"""
OWN_RESOLVERS = [
    Client("dnspython", FIRST_THAT_ANSWERS + """
import dns.resolver
def once():
    return fetch_from(record.address for record in dns.resolver.Resolver().resolve(API, "A"))
""", own_resolver=True, asks_by_tcp=False),
    Client("dnspython, async", FIRST_THAT_ANSWERS + """
import dns.asyncresolver
def once():
    answer = asyncio.run(dns.asyncresolver.Resolver().resolve(API, "A"))
    return fetch_from(record.address for record in answer)
""", own_resolver=True, asks_by_tcp=False),
    Client("pycares", FIRST_THAT_ANSWERS + """
import pycares
def once():
    found, done = [], threading.Event()
    def take(answer, error):
        found.extend(node.addr[0] for node in answer.nodes) if answer else print(error)
        done.set()
    channel = pycares.Channel()
    channel.getaddrinfo(API, 443, family=socket.AF_INET, type=socket.SOCK_STREAM, callback=take)
    assert done.wait(5)
    channel.close()
    return fetch_from(address.decode() for address in found)
""", own_resolver=True, answers_seen=False),
    Client("aiohttp, c-ares", """
import aiohttp
async def fetch():
    connector = aiohttp.TCPConnector(resolver=aiohttp.AsyncResolver())
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get("https://api.anthropic.com/") as response:
            return await response.text()
def once():
    return asyncio.run(fetch())
""", own_resolver=True, answers_seen=False),
    Client("gevent, c-ares", """
os.environ["GEVENT_RESOLVER"] = "ares"
import gevent.socket
def once():
    return hello(gevent.socket.create_connection((API, 443), 3))
""", own_resolver=True, answers_seen=False),
]  # fmt: skip

CLIENTS = [*SOCKETS, *LIBRARIES, *LOOPS, *OWN_RESOLVERS]
