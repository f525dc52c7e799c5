"""chromadb in a guarded process: `chroma_scenarios.py NAME FOLDER` runs one scenario and tells what came of it."""

from __future__ import annotations

import egressguard

egressguard.install()

import sys  # noqa: E402
from typing import Any  # noqa: E402

import chromadb  # noqa: E402
from chromadb.config import Settings  # noqa: E402
from chromadb.telemetry.product import ProductTelemetryClient, ProductTelemetryEvent  # noqa: E402
from inside import outcome, tell  # noqa: E402
from overrides import override  # noqa: E402

FOLDER = sys.argv[2]
VECTORS = {"ids": ["one", "two"], "documents": ["first", "second"], "embeddings": [[1.0, 0.0], [0.0, 1.0]]}


class Telemetry(ProductTelemetryClient):  # type: ignore[misc]
    """What chromadb itself had until 1.0 (its later releases keep the hook and send nothing): events to PostHog."""

    @override
    def capture(self, event: ProductTelemetryEvent) -> None:
        from posthog import Posthog

        if not hasattr(self, "client"):
            self.client = Posthog(
                "project", host="https://us.i.posthog.com", sync_mode=True, max_retries=0, on_error=print
            )
        self.client.capture(event.name, distinct_id=self.user_id)


def settings(**more: Any) -> Settings:
    """Return settings with telemetry on, which is chromadb's default."""
    return Settings(anonymized_telemetry=True, **more)


def use(client: Any) -> Any:
    """Fill a collection and ask it."""
    collection = client.get_or_create_collection("documents")
    collection.upsert(**VECTORS)
    return collection.query(query_embeddings=[[0.9, 0.1]], n_results=1)["documents"]


def refused() -> list[list[Any]]:
    return [[one.host, one.port, one.reason, one.distribution] for one in egressguard.violations()]


def ephemeral() -> Any:
    return {"answer": use(chromadb.EphemeralClient(settings())), "refused": refused()}


def persistent() -> Any:
    answers = [use(chromadb.PersistentClient(FOLDER, settings())) for _ in range(2)]
    return {"answer": answers[1], "refused": refused()}


def posthog() -> Any:
    impl = f"{__name__}.{Telemetry.__name__}"
    client = chromadb.PersistentClient(FOLDER, settings(chroma_product_telemetry_impl=impl))
    return {"answer": use(client), "refused": refused()}


def model() -> Any:
    """Without embeddings chromadb fetches a model first: from a host that nobody listed."""
    client = chromadb.EphemeralClient(settings())
    collection = client.get_or_create_collection("texts")
    told = outcome(lambda: collection.add(ids=["one"], documents=["first"]))
    return {"told": told, "answer": use(client), "refused": refused()}


if __name__ == "__main__":
    tell(globals()[sys.argv[1]]())
