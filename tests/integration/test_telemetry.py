"""What packages send home by themselves: refused and named, and the package goes on working.

On the wire of the laboratory, with the default list. A native client (gRPC's core) is the kernel layer's to refuse.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from labtools.lab import Lab


class Package(NamedTuple):
    """Code that makes a package send something, leaves in `result` what the application gets, and what is refused."""

    name: str
    code: str
    result: object
    refused: tuple[tuple[str, str, str], ...]  # route, host, reason

    def __str__(self) -> str:
        return self.name


NOT_LISTED = "not-listed"
SPAN = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="https://collector.evil.test:{port}{path}", timeout=1)))
with provider.get_tracer("application").start_as_current_span("work") as span:
    result = span.is_recording()
provider.force_flush(3000)
provider.shutdown()
"""
OTLP_HTTP = "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter" + SPAN.format(
    port=4318, path="/v1/traces"
)
OTLP_GRPC = "from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter" + SPAN.format(
    port=4317, path=""
)

SENTRY = """
import sentry_sdk.integrations.logging
{before}
sentry_sdk.init("https://key@o1.ingest.sentry.io/1", auto_enabling_integrations=False)
try:
    1 / 0
except ZeroDivisionError as error:
    result = bool(sentry_sdk.capture_exception(error))
sentry_sdk.flush(5)
"""

PACKAGES = [
    Package(
        "posthog",
        """
import posthog
client = posthog.Posthog("project", host="https://us.i.posthog.com", max_retries=0)
result = client.capture("event", distinct_id="user") is not None
client.flush()
client.shutdown()
""",
        True,
        (("getaddrinfo", "us.i.posthog.com", NOT_LISTED),),
    ),
    Package(
        "sentry-sdk",
        SENTRY.format(before='sentry_sdk.integrations.logging.ignore_logger("egressguard")'),
        True,
        (("getaddrinfo", "o1.ingest.sentry.io", NOT_LISTED),),
    ),
    Package("opentelemetry OTLP by HTTP", OTLP_HTTP, True, (("getaddrinfo", "collector.evil.test", NOT_LISTED),)),
    Package(
        "statsd by name",
        """
import statsd
try:
    statsd.StatsClient("metrics.evil.test", 8125)
except RuntimeError as error:  # it looks the name up when it is made, and says so where that fails
    result = error.host
""",
        "metrics.evil.test",
        (("getaddrinfo", "metrics.evil.test", NOT_LISTED),),
    ),
    Package(
        "statsd by address",
        """
import statsd
client = statsd.StatsClient("198.51.100.66", 8125)
client.incr("requests")
with client.timer("work"):
    result = "worked"
""",
        "worked",
        (("sendto", "198.51.100.66", NOT_LISTED),),
    ),
    Package(
        "huggingface_hub",
        """
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import send_telemetry
send_telemetry("topic", library_name="application", library_version="1")
end = time.monotonic() + 10
while not violations() and time.monotonic() < end:
    time.sleep(0.02)
result = try_to_load_from_cache("owner/model", "config.json")
""",
        None,
        (("getaddrinfo", "huggingface.co", NOT_LISTED),),
    ),
    Package(
        "huggingface_hub download",
        """
import egressguard
from huggingface_hub import hf_hub_download
try:
    hf_hub_download("owner/model", "config.json")
except egressguard.EgressViolation as error:
    result = error.host
""",
        "huggingface.co",
        (("getaddrinfo", "huggingface.co", NOT_LISTED),),
    ),
    Package(
        "onnxruntime",  # sends telemetry on Windows only: here there must be nothing to refuse
        """
import onnxruntime
onnxruntime.enable_telemetry_events()
result = "CPUExecutionProvider" in onnxruntime.get_available_providers()
""",
        True,
        (),
    ),
]


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_refused_and_named(lab: Lab, package: Package) -> None:
    outcome = lab.run(package.code, guard=True)
    assert outcome.report["raised"] == "", outcome
    assert outcome.report["result"] == package.result, outcome
    violations = outcome.report["violations"]  # a session besides the event, a try again: a few of the same are fine
    assert {tuple(one) for one in violations} == set(package.refused), outcome
    assert len(violations) < 8, outcome
    assert outcome.wire.lines() == [], outcome


# Shippers of log records, which are refused for each record and get one for each refusal.
FEEDING = {
    "sentry-sdk": SENTRY.format(before="") + "time.sleep(1)",
    "opentelemetry logs": """
import logging
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
provider = LoggerProvider()
exporter = OTLPLogExporter(endpoint="https://collector.evil.test:4318/v1/logs", timeout=1)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=50))
logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
logging.getLogger("application").error("work")
time.sleep(3)
""",
}
# What it would be if every refusal were logged, so that the test below is known to look at the right thing.
EVERY_TIME = """
from egressguard import _report
_report._times = lambda violation: 1
"""


@pytest.mark.parametrize("shipper", FEEDING)
def test_a_log_shipper_does_not_feed_on_what_it_is_refused(lab: Lab, shipper: str) -> None:
    outcome = lab.run(FEEDING[shipper], guard=True)
    assert 0 < len(outcome.report["violations"]) < 20, len(outcome.report["violations"])
    assert outcome.wire.lines() == [], outcome
    fed = lab.run(EVERY_TIME + FEEDING[shipper], guard=True)
    assert len(fed.report["violations"]) > 20, len(fed.report["violations"])


def test_grpc_is_native_and_leaves_by_the_python_layer_alone(lab: Lab) -> None:
    outcome = lab.run(OTLP_GRPC, guard=True)
    assert outcome.report["result"] is True, outcome
    assert outcome.wire.shows("DNS collector.evil.test"), outcome


def test_grpc_is_refused_by_the_kernel_layer(lab: Lab) -> None:
    outcome = lab.run(KERNEL + OTLP_GRPC, guard=True)
    if str(outcome.report["result"]).startswith("unavailable"):
        pytest.skip(f"no kernel layer here: {outcome.report['result']}")
    assert outcome.report["result"] is True, outcome
    assert "collector.evil.test" in {host for _, host, _ in outcome.report["violations"]}, outcome
    assert outcome.wire.lines() == [], outcome


KERNEL = """
import egressguard
try:
    egressguard.install_kernel()
except egressguard.KernelLayerUnavailable as error:
    result = f"unavailable: {error}"
    raise SystemExit
"""
