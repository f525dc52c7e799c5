"""The SDKs that production uses, sync and async, with their retries on, over TLS and seen on the wire."""

from __future__ import annotations

import pytest
from labtools.lab import Lab

KINDS = ["sync", "async"]
RETRIES = 2

MESSAGES = '[{"role": "user", "content": "hello"}]'
ANTHROPIC = """
import anthropic

async def ask_async(options):
    async with anthropic.AsyncAnthropic(api_key="k", max_retries={retries}, **options) as client:
        return (await client.messages.create(model="m", max_tokens=9, messages={messages})).content[0].text

def ask(kind, **options):
    if kind == "async":
        return asyncio.run(ask_async(options))
    with anthropic.Anthropic(api_key="k", max_retries={retries}, **options) as client:
        return client.messages.create(model="m", max_tokens=9, messages={messages}).content[0].text
"""
# Outside has no completions to give: its page proves that the request got there and back.
OPENAI = """
import openai

async def ask_async(options):
    async with openai.AsyncOpenAI(api_key="k", max_retries={retries}, **options) as client:
        return (await client.chat.completions.with_raw_response.create(model="m", messages={messages})).text

def ask(kind, **options):
    if kind == "async":
        return asyncio.run(ask_async(options))
    with openai.OpenAI(api_key="k", max_retries={retries}, **options) as client:
        return client.chat.completions.with_raw_response.create(model="m", messages={messages}).text
"""
# What a caller sees: the exceptions from the outermost to its cause, the attempts, and what the latch says.
REFUSED = """
import egressguard
try:
    ask({kind!r}, base_url={url!r}, **{options})
except Exception as error:
    names = []
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__
try:
    egressguard.raise_pending()
    pending = None
except egressguard.EgressViolation as violation:
    pending = violation.host
result = {{"chain": names, "attempts": egressguard.violation_count(), "pending": pending}}
"""
FORBIDDEN = {
    "https://evil.test": ("evil.test", "not-listed"),
    "https://198.51.100.66": ("198.51.100.66", "not-listed"),
    "http://127.0.0.1:8080": ("127.0.0.1", "loopback"),
    "https://api.anthropic.com:8443": ("api.anthropic.com", "not-listed"),
}
# The SDK tries every connection error again. Middleware hands the violation to the caller at the first attempt.
AT_ONCE = """
def at_once(request, call_next):
    try:
        return call_next(request)
    except anthropic.APIConnectionError as error:
        if isinstance(error.__cause__, egressguard.EgressViolation):
            raise error.__cause__ from None
        raise

async def at_once_async(request, call_next):
    try:
        return await call_next(request)
    except anthropic.APIConnectionError as error:
        if isinstance(error.__cause__, egressguard.EgressViolation):
            raise error.__cause__ from None
        raise
"""


def source(sdk: str) -> str:
    """Return the module of one SDK."""
    return sdk.format(retries=RETRIES, messages=MESSAGES)


@pytest.mark.parametrize("kind", KINDS)
def test_anthropic_reaches_its_host_with_the_default_list(lab: Lab, kind: str) -> None:
    outcome = lab.run(source(ANTHROPIC) + f"result = ask({kind!r})", guard=True)
    assert outcome.report["result"] == "hello from outside", outcome
    assert outcome.report["violations"] == [], outcome
    assert {port for _, port in outcome.wire.dialled()} == {443}, outcome


@pytest.mark.parametrize("kind", KINDS)
def test_openai_reaches_a_listed_host(lab: Lab, kind: str) -> None:
    code = source(OPENAI) + f"result = ask({kind!r}, base_url='https://cgr.dev/v1')"
    outcome = lab.run(code, guard=True, allow=("cgr.dev:443",))
    assert outcome.report["result"] == "hello from outside", outcome
    assert outcome.report["violations"] == [], outcome


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sdk", [ANTHROPIC, OPENAI], ids=["anthropic", "openai"])
def test_a_forbidden_base_url_is_a_violation(lab: Lab, sdk: str, kind: str, url: str) -> None:
    outcome = lab.run(source(sdk) + REFUSED.format(kind=kind, url=url, options="{}"), guard=True)
    left = outcome.wire.besides({"api.anthropic.com"})
    assert left == [], outcome
    result, (_, host, reason) = outcome.report["result"], outcome.report["violations"][0]
    assert (host, reason) == FORBIDDEN[url], outcome
    assert result["pending"] == host, outcome
    if sdk is OPENAI:
        assert (result["chain"], result["attempts"]) == (["EgressViolation"], 1), outcome
    else:
        assert result["chain"] == ["APIConnectionError", "EgressViolation"], outcome
        assert result["attempts"] == RETRIES + 1, outcome


@pytest.mark.parametrize("kind", KINDS)
def test_anthropic_gives_up_at_once_with_the_middleware(lab: Lab, kind: str) -> None:
    middleware = "at_once_async" if kind == "async" else "at_once"
    options = f"{{'middleware': [{middleware}]}}"
    code = source(ANTHROPIC) + AT_ONCE + REFUSED.format(kind=kind, url="https://evil.test", options=options)
    outcome = lab.run("import egressguard\n" + code, guard=True)
    result = outcome.report["result"]
    assert (result["chain"], result["attempts"]) == (["EgressViolation"], 1), outcome
    assert outcome.wire.besides(set()) == [], outcome
