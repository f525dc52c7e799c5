"""Clients of databases, queues and other services: their handshake is what the wire shows."""

from __future__ import annotations

from cataloguetools.row import LOOPBACK, NATIVE, PYTHON, Row


def service(name: str, imports: str, call: str, needs: tuple[str, ...], group: str = PYTHON, **more: object) -> Row:
    """Return a row whose `dial` is one call of a blocking client."""
    code = f"\n{imports}\ndef dial(host, port):\n    return {call}\n"
    return Row(name, code, group, needs, answers=False, **more)  # type: ignore[arg-type]


def service_async(
    name: str, imports: str, call: str, needs: tuple[str, ...], group: str = PYTHON, **more: object
) -> Row:
    """Return a row whose `dial` awaits one call."""
    code = f"\n{imports}\nasync def talk(host, port):\n    return await {call}\n"
    code += "def dial(host, port):\n    return asyncio.run(asyncio.wait_for(talk(host, port), 2))\n"
    return Row(name, code, group, needs, answers=False, **more)  # type: ignore[arg-type]


def pika(name: str, module: str, start: str, *needs: str, **more: object) -> Row:
    """Return a row for one of pika's connections that call back; each has a loop of its own."""
    return Row(f"pika, {name}", f"""
import pika, pika.adapters.{module}
def dial(host, port):
    parameters = pika.ConnectionParameters(host, port, socket_timeout=2, stack_timeout=2, connection_attempts=1)
    told = []
    def end(connection, *error):
        told.append(error)
        connection.ioloop.stop()
    connection = pika.adapters.{module}.{name}(parameters, end, end, end)
    connection.ioloop.{start}()
    return told
""", needs=("pika", *needs), answers=False, **more)  # type: ignore[arg-type]  # fmt: skip


DSN = '"host=" + host + " port=" + str(port) + " user=u dbname=d connect_timeout=3 sslmode=prefer"'
LOGIN = 'host=host, port=port, user="u", password="p"'
PSYCOPG = ("psycopg", "psycopg-binary")
SYSTEMS = "built here, with the system's client library inside"
WAKES = "pika wakes its own loop over that connection; its other connections, in the table above, need none"
LIBPQ = "names are looked up by Python, libpq dials"

ROWS = [
    service("psycopg, sync", "import psycopg", f"psycopg.connect({DSN})", PSYCOPG, NATIVE, note=LIBPQ),
    service_async("psycopg, async", "import psycopg", f"psycopg.AsyncConnection.connect({DSN})", PSYCOPG, NATIVE, note=LIBPQ),
    service("psycopg2", "import psycopg2", f"psycopg2.connect({DSN})", ("psycopg2-binary",), NATIVE),
    service_async("asyncpg", "import asyncpg", f'asyncpg.connect({LOGIN}, database="d", timeout=2)', ("asyncpg",)),
    service("pg8000", "import pg8000.dbapi", f"pg8000.dbapi.connect({LOGIN}, timeout=2)", ("pg8000",)),
    service("PyMySQL", "import pymysql", f"pymysql.connect({LOGIN}, connect_timeout=1, read_timeout=1)", ("PyMySQL",)),
    service("mysqlclient", "import MySQLdb", f"MySQLdb.connect({LOGIN}, connect_timeout=1)", ("mysqlclient",), NATIVE, note=SYSTEMS),
    service(
        "mysql-connector-python, pure",
        "import mysql.connector",
        f"mysql.connector.connect({LOGIN}, use_pure=True, connection_timeout=1)",
        ("mysql-connector-python",),
    ),
    service(
        "mysql-connector-python, C extension",
        "import mysql.connector",
        f"mysql.connector.connect({LOGIN}, use_pure=False, connection_timeout=1)",
        ("mysql-connector-python",),
        NATIVE,
        module="_mysql_connector",
        libraries="mysql/vendor",
        note="with its own OpenSSL first on `LD_LIBRARY_PATH`: beside an older one it does not load",
    ),
    service_async("aiomysql", "import aiomysql", f"aiomysql.connect({LOGIN}, connect_timeout=1)", ("aiomysql",)),
    service(
        "pymssql",
        "import pymssql",
        'pymssql.connect(server=host, port=port, user="u", password="p", login_timeout=1, timeout=1)',
        ("pymssql",),
        NATIVE,
    ),
    service("redis", "import redis", "redis.Redis(host, port, socket_timeout=2, retry=None).ping()", ("redis",)),
    service_async("redis, asyncio", "import redis.asyncio", "redis.asyncio.Redis(host=host, port=port).ping()", ("redis", "hiredis")),
    service(
        "pymongo",
        "import pymongo",
        "pymongo.MongoClient(host, port, serverSelectionTimeoutMS=1000, socketTimeoutMS=500, connectTimeoutMS=500).admin.command('ping')",
        ("pymongo",),
    ),
    service(
        "confluent-kafka",
        "from confluent_kafka.admin import AdminClient",
        'AdminClient({"bootstrap.servers": host + ":" + str(port), "log_level": 0}).list_topics(timeout=1.5)',
        ("confluent-kafka",),
        NATIVE,
    ),
    service(
        "kafka-python",
        "import kafka",
        'kafka.KafkaAdminClient(bootstrap_servers=host + ":" + str(port), bootstrap_timeout_ms=1500, request_timeout_ms=1500)',
        ("kafka-python",),
    ),
    service_async(
        "aiokafka",
        "import aiokafka",
        'aiokafka.AIOKafkaProducer(bootstrap_servers=host + ":" + str(port), request_timeout_ms=1000).start()',
        ("aiokafka",),
    ),
    service(
        "pika, BlockingConnection",
        "import pika",
        "pika.BlockingConnection(pika.ConnectionParameters(host, port, socket_timeout=2, stack_timeout=2, connection_attempts=1))",
        ("pika",),
        apart=LOOPBACK,
        note=WAKES,
        short=True,
    ),
    pika("SelectConnection", "select_connection", "start", apart=LOOPBACK, note=WAKES),
    pika("AsyncioConnection", "asyncio_connection", "run_forever", short=True),
    pika("TornadoConnection", "tornado_connection", "start", "tornado"),
    pika("GeventConnection", "gevent_connection", "start", "gevent"),
    service(
        "paho-mqtt",
        "import paho.mqtt.client as mqtt",
        "mqtt.Client(mqtt.CallbackAPIVersion.VERSION2).connect(host, port)",
        ("paho-mqtt",),
    ),
    service_async(
        "nats-py",
        "import nats",
        'nats.connect("nats://" + host + ":" + str(port), connect_timeout=1, allow_reconnect=False)',
        ("nats-py",),
    ),
    service("paramiko", "import paramiko", "paramiko.Transport(socket.create_connection((host, port), 2)).start_client(timeout=1)", ("paramiko",)),
    service_async("asyncssh", "import asyncssh", "asyncssh.connect(host, port, known_hosts=None, login_timeout=1)", ("asyncssh",)),
    service(
        "statsd, TCP",
        "import statsd",
        'statsd.TCPStatsClient(host, port, timeout=2).incr("requests")',
        ("statsd",),
    ),
    Row("pyzmq", """
import zmq
def dial(host, port):
    with zmq.Context() as context, context.socket(zmq.REQ) as one:
        one.setsockopt(zmq.LINGER, 0)
        one.connect("tcp://" + host + ":" + str(port))
        one.poll(700)
""", NATIVE, ("pyzmq",), answers=False),
    Row("awscrt", """
import awscrt.http, awscrt.io
def dial(host, port):
    group = awscrt.io.EventLoopGroup(1)
    bootstrap = awscrt.io.ClientBootstrap(group, awscrt.io.DefaultHostResolver(group))
    options = awscrt.io.SocketOptions()
    options.connect_timeout_ms = 2000
    found = awscrt.http.HttpClientConnection.new(host, port, bootstrap, options)
    return found.result(4)
""", NATIVE, ("awscrt",), answers=False),
]  # fmt: skip
