"""chromadb under the guard: embedded with telemetry on, and as a client of a local server (ADR-0006)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from consumertools.network import Network
from consumertools.project import Project

from labtools.lab import Lab

SCENARIOS = Path(__file__).resolve().parent / "consumertools" / "chroma_scenarios.py"
PORT = 8123


def scenario(network: Network, folder: Path, name: str) -> Any:
    """Run a scenario; its home is empty, so that no model lies in a cache."""
    child = network.python(SCENARIOS, name, folder / "database", env={"HOME": str(folder)})
    return child.last()


@pytest.mark.parametrize("name", ["ephemeral", "persistent"])
def test_embedded_works_with_telemetry_on(network: Network, tmp_path: Path, name: str) -> None:
    told = scenario(network, tmp_path, name)
    assert told["answer"] == [["first"]], told
    assert told["refused"] == [], told  # this chromadb has nothing to send; older ones: the next test


def test_product_telemetry_is_refused_and_named(network: Network, tmp_path: Path) -> None:
    told = scenario(network, tmp_path, "posthog")
    assert told["answer"] == [["first"]], told
    assert {tuple(one[:3]) for one in told["refused"]} == {("us.i.posthog.com", 443, "not-listed")}, told


def test_the_model_download_is_refused_and_named(network: Network, tmp_path: Path) -> None:
    told = scenario(network, tmp_path, "model")
    assert told["told"]["violation"], told
    assert told["told"]["host"] == "chroma-onnx-models.s3.amazonaws.com", told
    assert told["refused"][0][:3] == ["chroma-onnx-models.s3.amazonaws.com", 443, "not-listed"], told
    assert told["answer"] == [["first"]], told  # with embeddings of one's own it goes on


EMBEDDED = """
import chromadb
from chromadb.config import Settings
client = chromadb.PersistentClient("database", Settings(anonymized_telemetry=True))
collection = client.get_or_create_collection("documents")
collection.upsert(ids=["one"], documents=["first"], embeddings=[[1.0, 0.0]])
result = collection.query(query_embeddings=[[1.0, 0.0]], n_results=1)["documents"]
"""


def test_embedded_sends_nothing(lab: Lab) -> None:
    outcome = lab.run(EMBEDDED, guard=True)
    assert outcome.report["result"] == [["first"]], outcome
    assert outcome.wire.lines() == [], outcome


@pytest.fixture(scope="module")
def chroma(network: Network, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Run a chroma server in the network; return its port."""
    folder = tmp_path_factory.mktemp("chroma")
    program = Path(sys.executable).with_name("chroma")
    server = network.start(folder, program, "run", "--path", folder / "data", "--host", "127.0.0.1", "--port", PORT)
    network.wait_for_port(server, PORT)
    return PORT


CLIENT = """
import socket
import chromadb
import pytest
from inside import outcome

HOSTS = ["localhost", "127.0.0.1"]

def use(host):
    client = chromadb.HttpClient(host=host, port={port})
    collection = client.get_or_create_collection("documents")
    collection.upsert(ids=["one"], documents=["first"], embeddings=[[1.0, 0.0]])
    return collection.query(query_embeddings=[[1.0, 0.0]], n_results=1)["documents"]

@pytest.mark.parametrize("host", HOSTS)
def test_works_with_the_fixture(egress_test_loopback, host):
    assert use(host) == [["first"]]

@pytest.mark.parametrize("host", HOSTS)
def test_refused_without_it(host):
    told = outcome(lambda: use(host))
    assert (told["violation"], told["reason"], told["port"]) == (True, "loopback", {port}), told

def test_localhost_can_be_looked_up_by_everybody():
    answers = socket.getaddrinfo("localhost", {port}, socket.AF_INET, socket.SOCK_STREAM)
    assert [answer[4] for answer in answers] == [("127.0.0.1", {port})]
"""


def test_http_client(network: Network, chroma: int, project: Project) -> None:
    project.write("test_client.py", CLIENT.format(port=chroma))
    run = project.run(prefix=network.enter)
    assert (set(run.outcomes.values()), len(run.outcomes)) == ({"passed"}, 5), run
