"""The SDKs that production uses, sync and async, with their retries on, over TLS and seen on the wire."""

from __future__ import annotations

import pytest
from consumertools.recipes import recipe

from labtools.lab import Lab

# As the documents give them, in one file: what the second imports from the first is there already.
RECIPES = recipe("egress_errors.py") + recipe("egress_anthropic.py").replace(
    "from egress_errors", "# from egress_errors"
)

KINDS = ["sync", "async"]
RETRIES = 1

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
# What a caller sees for each address: the exception, what is behind it, the attempts and what the latch says.
REFUSED = """
import egressguard

def told(url):
    before, pending = egressguard.violation_count(), None
    try:
        ask({kind!r}, base_url=url, **{options})
        return "no exception"
    except Exception as error:
        caught, behind = type(error).__name__, violation_behind(error)
    try:
        egressguard.raise_pending()
    except egressguard.EgressViolation as violation:
        pending = violation.host
    return [caught, behind.host, behind.reason, pending, egressguard.violation_count() - before]

result = [told(url) for url in {urls}]
"""
# Where to, the host and the reason, and what openai's async client raises: anyio groups what is no OSError.
FORBIDDEN = {
    "https://evil.test": ("evil.test", "not-listed", "EgressViolation"),
    "https://198.51.100.66": ("198.51.100.66", "not-listed", "ExceptionGroup"),
    "http://127.0.0.1:8080": ("127.0.0.1", "loopback", "ExceptionGroup"),
    "https://api.anthropic.com:8443": ("api.anthropic.com", "port", "EgressViolation"),
}


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sdk", ["anthropic", "openai"])
def test_a_forbidden_base_url_is_a_violation(lab: Lab, sdk: str, kind: str) -> None:
    code = RECIPES + source(OPENAI if sdk == "openai" else ANTHROPIC)
    outcome = lab.run(code + REFUSED.format(kind=kind, urls=list(FORBIDDEN), options="{}"), guard=True)
    assert outcome.wire.besides({"api.anthropic.com"}) == [], outcome
    for told, (host, reason, grouped) in zip(outcome.report["result"], FORBIDDEN.values(), strict=True):
        if sdk == "openai":
            caught, attempts = (grouped if kind == "async" else "EgressViolation"), 1
        else:
            caught, attempts = "APIConnectionError", RETRIES + 1
        assert told == [caught, host, reason, host, attempts], outcome


@pytest.mark.parametrize("kind", KINDS)
def test_anthropic_gives_up_at_once_with_the_middleware(lab: Lab, kind: str) -> None:
    options = f"{{'middleware': [at_once{'_async' if kind == 'async' else ''}]}}"
    code = RECIPES + source(ANTHROPIC) + REFUSED.format(kind=kind, urls=list(FORBIDDEN), options=options)
    outcome = lab.run(code, guard=True)
    expected = [["EgressViolation", host, reason, host, 1] for host, reason, _ in FORBIDDEN.values()]
    assert outcome.report["result"] == expected, outcome
    assert outcome.wire.besides({"api.anthropic.com"}) == [], outcome
