"""HTTP and WebSocket clients."""

from __future__ import annotations

from cataloguetools.row import CARES, NATIVE, Row


def aiohttp(name: str, resolver: str, group: str, needs: tuple[str, ...], **more: object) -> Row:
    """Return aiohttp with one of its resolvers."""
    return Row(f"aiohttp, {name}", f"""
import aiohttp
async def talk(host, port):
    connector = aiohttp.TCPConnector(resolver=aiohttp.{resolver}())
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url(host, port)) as answer:
        return await answer.text()
def dial(host, port):
    return run(talk(host, port))
""", group, needs, **more)  # type: ignore[arg-type]  # fmt: skip


ROWS = [
    Row("requests", """
import requests
def dial(host, port):
    return requests.get(url(host, port), timeout=3).text
""", needs=("requests",), short=True),
    Row("urllib3", """
import urllib3
def dial(host, port):
    return urllib3.PoolManager(retries=False).request("GET", url(host, port), timeout=3).data
""", needs=("urllib3",)),
    Row("httpx", """
import httpx
def dial(host, port):
    return httpx.get(url(host, port), timeout=3).text
""", needs=("httpx",)),
    Row("httpx, async", """
import httpx
async def talk(host, port):
    async with httpx.AsyncClient() as client:
        return (await client.get(url(host, port))).text
def dial(host, port):
    return run(talk(host, port))
""", needs=("httpx",), short=True),
    Row("httpx, HTTP/2", """
import httpx
def dial(host, port):
    with httpx.Client(http2=True, verify=False, timeout=3) as client:
        return client.get(url(host, port, "https")).text
""", needs=("httpx", "h2"), port=8443),
    aiohttp("threaded resolver", "ThreadedResolver", "CPython's sockets", ("aiohttp",)),
    aiohttp("aiodns", "AsyncResolver", CARES, ("aiohttp", "aiodns"), short=True),
    Row("niquests", """
import niquests
def dial(host, port):
    return niquests.get(url(host, port), timeout=3).text
""", needs=("niquests",)),
    Row("httplib2", """
import httplib2
def dial(host, port):
    return httplib2.Http(timeout=3).request(url(host, port))[1]
""", needs=("httplib2",)),
    Row("tornado, simple_httpclient", """
from tornado.httpclient import AsyncHTTPClient
async def talk(host, port):
    return (await AsyncHTTPClient(force_instance=True).fetch(url(host, port), request_timeout=3)).body
def dial(host, port):
    return run(talk(host, port))
""", needs=("tornado",)),
    Row("tornado, curl_httpclient", """
from tornado.curl_httpclient import CurlAsyncHTTPClient
async def talk(host, port):
    return (await CurlAsyncHTTPClient(force_instance=True).fetch(url(host, port), request_timeout=3)).body
def dial(host, port):
    return run(talk(host, port))
""", NATIVE, ("tornado", "pycurl")),
    Row("pycurl", """
import io, pycurl
def dial(host, port):
    page, handle = io.BytesIO(), pycurl.Curl()
    handle.setopt(pycurl.URL, url(host, port))
    handle.setopt(pycurl.TIMEOUT, 3)
    handle.setopt(pycurl.WRITEDATA, page)
    handle.perform()
    return page.getvalue()
""", NATIVE, ("pycurl",)),
    Row("curl_cffi", """
from curl_cffi import requests as curl_requests
def dial(host, port):
    return curl_requests.get(url(host, port), timeout=3).text
""", NATIVE, ("curl_cffi",), note="its libcurl resolves by c-ares"),
    Row("primp", """
import primp
def dial(host, port):
    return primp.Client(timeout=3).get(url(host, port)).text
""", NATIVE, ("primp",)),
    Row("rnet", """
import rnet
async def talk(host, port):
    return await (await rnet.Client().get(url(host, port))).text()
def dial(host, port):
    return run(talk(host, port))
""", NATIVE, ("rnet",)),
    Row("websockets, sync", """
from websockets.sync.client import connect
def dial(host, port):
    with connect(url(host, port, "ws") + "ws", open_timeout=3, proxy=None) as connection:
        connection.send("hello from outside")
        return connection.recv(3)
""", needs=("websockets",)),
    Row("websockets, asyncio", """
from websockets.asyncio.client import connect
async def talk(host, port):
    async with connect(url(host, port, "ws") + "ws", open_timeout=3, proxy=None) as connection:
        await connection.send("hello from outside")
        return await connection.recv()
def dial(host, port):
    return run(talk(host, port))
""", needs=("websockets",)),
    Row("websocket-client", """
import websocket
def dial(host, port):
    connection = websocket.create_connection(url(host, port, "ws") + "ws", timeout=3)
    connection.send("hello from outside")
    return connection.recv()
""", needs=("websocket-client",)),
    Row("anthropic", """
import anthropic
def dial(host, port):
    client = anthropic.Anthropic(api_key="k", base_url=url(host, port), max_retries=0, timeout=3)
    return client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
""", needs=("anthropic",)),
    Row("openai", """
import openai
def dial(host, port):
    client = openai.OpenAI(api_key="k", base_url=url(host, port), max_retries=0, timeout=3)
    return client.models.with_raw_response.list().text
""", needs=("openai",)),
    Row("boto3", """
import boto3, botocore.config
def dial(host, port):
    config = botocore.config.Config(connect_timeout=3, read_timeout=3, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=url(host, port), config=config, **keys).list_buckets()
""", needs=("boto3",), answers=False),
    Row("huggingface_hub", """
import huggingface_hub
def dial(host, port):
    return huggingface_hub.HfApi(endpoint=url(host, port)[:-1]).model_info("owner/model", timeout=3)
""", needs=("huggingface_hub",), answers=False),
    Row("chromadb, HttpClient", """
import chromadb
def dial(host, port):
    chromadb.HttpClient(host=host, port=port)
""", needs=("chromadb",), answers=False),
]  # fmt: skip
