"""Entries of the allowlist: what is taken, how it is spelled afterwards, and what is wrong with the others."""

from __future__ import annotations

import children
import pytest

from egressguard import _egressguard

parse = _egressguard.parse

GOOD = {
    "api.anthropic.com:443": "api.anthropic.com:443",
    "API.Anthropic.COM.:443": "api.anthropic.com:443",
    "*.example.com:443": "*.example.com:443",
    "*.EXAMPLE.com.:*": "*.example.com:*",
    "example:1-65535": "example:1-65535",
    "example:80-80": "example:80",
    "bücher.example:443": "xn--bcher-kva.example:443",
    "*.bücher.example:443": "*.xn--bcher-kva.example:443",
    "xn--bcher-kva.example:443": "xn--bcher-kva.example:443",
    "\uff21\uff30\uff29.example:443": "api.example:443",
    "under_score.example:443": "under_score.example:443",
    "203.0.113.5:9": "203.0.113.5:9",
    "203.0.113.0/24:*": "203.0.113.0/24:*",
    "203.0.113.5/32:9": "203.0.113.5:9",
    "10.0.0.0/8:1-1024": "10.0.0.0/8:1-1024",
    "[2001:db8::9]:443": "[2001:db8::9]:443",
    "[2001:DB8:0:0::9]:443": "[2001:db8::9]:443",
    "[2001:db8::/32]:443": "[2001:db8::/32]:443",
    "[2001:db8::9/128]:443": "[2001:db8::9]:443",
    "[::ffff:203.0.113.5]:9": "203.0.113.5:9",
    "unix:/run/a.sock": "unix:/run/a.sock",
    "unix:@abstract": "unix:@abstract",
    "unix:/with space/and:colon": "unix:/with space/and:colon",
}


@pytest.mark.parametrize("entry", GOOD)
def test_a_good_entry_has_one_spelling(entry: str) -> None:
    """The canonical one, which parses to itself."""
    assert parse((entry,)) == (GOOD[entry],)
    assert parse((GOOD[entry],)) == (GOOD[entry],)


BAD = {
    "": "empty",
    "example": "the port is missing",
    ":443": "the host is missing",
    "example:": "the port must be a number from 1 to 65535, a range lo-hi, or *",
    "example:0": "the port must be",
    "example:65536": "the port must be",
    "example:-1": "the port must be",
    "example:+1": "the port must be",
    "example: 1": "contains a space",
    "example:01": "the port must be",
    "example:443x": "the port must be",
    "example:80-": "the port must be",
    "example:90-80": "the port range ends before it begins",
    "example:0-80": "the port must be",
    "example:http": "the port must be",
    "example:443/path": "the port must be",
    "https://example:443": "not a URL",
    "https://example.com": "not a URL",
    "*:443": "* alone would open every host",
    "*": "the port is missing",
    "*.*.example:443": "* stands only for whole labels at the beginning",
    "api.*.example:443": "* stands only for whole labels at the beginning",
    "api*.example:443": "* stands only for whole labels at the beginning",
    "*.com*:443": "* stands only for whole labels at the beginning",
    "a..example:443": "not a host name",
    ".example:443": "not a host name",
    "-:443": None,  # a label that DNS does not have, but which nobody can be fooled with
    "exa mple:443": "contains a space",
    "example\n:443": "contains a space or another character",
    "user@example:443": "not a host name",
    "a" * 64 + ".example:443": "not a host name",
    ("a" * 50 + ".") * 5 + "example:443": "not a host name",
    "2130706433:443": "the C library reads this as a number",
    "0xcb007105:443": "the C library reads this as a number",
    "203.0.29957:443": "the C library reads this as a number",
    "0313.0.113.5:443": "the C library reads this as a number",
    "203.0.113.256:443": "the last label is a number",
    "example.123:443": "the last label is a number",
    "203.0.113.5/33:9": "the prefix length must be 0 to 32",
    "203.0.113.5/24:9": "host bits are set behind the prefix length",
    "203.0.113.0/x:9": "the prefix length must be",
    "2001:db8::9:443": "an IPv6 entry is [address]:port",
    "[2001:db8::9]": "an IPv6 entry is [address]:port",
    "[2001:db8::9:443": "an IPv6 entry is [address]:port",
    "[2001:db8::9%1]:443": "a scope id cannot be part of an entry",
    "[2001:db8::/129]:443": "the prefix length must be 0 to 128",
    "[2001:db8::1/64]:443": "host bits are set",
    "[nonsense]:443": "not an IPv6 address",
    "unix:": "a UNIX entry is unix:/absolute/path or unix:@abstract",
    "unix:relative": "a UNIX entry is",
    "unix:/": "a UNIX entry is",
    "unix:/" + "a" * 200: "longer than a socket address holds",
    "unix:/a\0b": "contains a NUL byte",
    "\ud800.example:443": "IDNA",
    "é" * 70 + ".example:443": "IDNA",
}


@pytest.mark.parametrize("entry", [entry for entry, wrong in BAD.items() if wrong])
def test_a_bad_entry_is_named_with_what_is_wrong(entry: str) -> None:
    """One bad entry among good ones: the message quotes it, as Python writes it."""
    with pytest.raises(ValueError, match="allowlist entry ") as caught:
        parse(("good.example:443", entry, "also.example:443"))
    text = str(caught.value)
    assert text.startswith(f"allowlist entry {entry!r}: ")
    assert str(BAD[entry]) in text.removeprefix(f"allowlist entry {entry!r}: ")


THIS_MACHINE = [
    "localhost:80",
    "LOCALHOST.:80",
    "a.localhost:80",
    "*.localhost:80",
    "localhost.localdomain:80",
    "127.0.0.1:80",
    "127.255.255.254:*",
    "127.0.0.0/8:80",
    "126.0.0.0/7:80",
    "0.0.0.0:80",
    "0.0.0.0/0:443",
    "0.0.0.0/8:80",
    "[::1]:80",
    "[::]:80",
    "[::/0]:443",
    "[::/96]:80",
    "[::/127]:80",
    "[::ffff:127.0.0.1]:80",
    "[::ffff:0.0.0.0]:80",
    "[::ffff:0.0.0.0/96]:80",
    "[::ffff:127.0.0.0/104]:80",
    "[::127.0.0.1]:80",
    "[64:ff9b::7f00:1]:80",
    "[64:ff9b::/96]:80",
    "[64:ff9b:1::/48]:80",
    "[2002:7f00:1::]:80",
    "[2002::/16]:80",
    "[2002:7f00::/24]:80",
    "[2000::/3]:443",
    "[2001::/32]:80",
]


@pytest.mark.parametrize("entry", THIS_MACHINE)
def test_no_entry_can_mean_this_machine(entry: str) -> None:
    """ADR-0006: neither loopback nor what embeds or covers it. The message says what tests do instead."""
    with pytest.raises(ValueError, match="egress_test_loopback") as caught:
        parse((entry,))
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize("allow", [5, None.__class__, 1.5, object()])
def test_no_iterable(allow: object) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        parse(allow)  # type: ignore[arg-type]


@pytest.mark.parametrize("allow", ["example:443", b"example:443"])
def test_a_single_text_is_no_list(allow: object) -> None:
    """A str is an iterable of str: each letter would be an entry, and the message would puzzle."""
    with pytest.raises(TypeError, match="allow must be an iterable of str, such as"):
        parse(allow)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", [None, 5, b"example:443", ("example", 443), ["example:443"]])
def test_an_entry_is_a_str(entry: object) -> None:
    with pytest.raises(TypeError, match="must be str, not "):
        parse(["example:443", entry])  # type: ignore[list-item]


def test_any_iterable_will_do() -> None:
    expected = ("a.example:1", "b.example:2")
    for allow in (list(expected), iter(expected), dict.fromkeys(expected), (entry for entry in expected)):
        assert parse(allow) == expected


def test_a_str_subclass_is_read_as_the_text_it_is() -> None:
    """Its methods are not asked."""

    class Liar(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "evil.example:443"

        def encode(self, *_: object) -> bytes:  # type: ignore[override]
            return b"evil.example:443"

    assert parse((Liar("good.example:443"),)) == ("good.example:443",)


def test_ports_of_one_host_are_told_as_runs() -> None:
    """However they were given: the posture is read by people."""
    assert parse(("a.example:82", "a.example:80", "a.example:81")) == ("a.example:80-82",)
    assert parse(("a.example:80", "a.example:90", "a.example:80-89")) == ("a.example:80-90",)
    assert parse(("a.example:5", "a.example:*", "a.example:70")) == ("a.example:*",)
    assert parse(("a.example:80", "a.example:80")) == ("a.example:80",)


def test_a_hundred_thousand_entries(own_network: None) -> None:
    """Parsed in one go, each found, none found that is not there."""
    source = """
        import socket, time
        from inside import tell, word
        import egressguard
        names = [f"h{number}.example:9" for number in range(50000)]
        addresses = [f"10.{number >> 8 & 255}.{number & 255}.1:9" for number in range(50000)]
        began = time.monotonic()
        egressguard.install([*names, *addresses])
        took = time.monotonic() - began
        one = socket.socket(type=socket.SOCK_DGRAM)
        words = {word(lambda: one.connect((f"10.{number >> 8 & 255}.{number & 255}.1", 9))) for number in range(0, 50000, 7)}
        wrong = {word(lambda: one.connect((f"10.{number >> 8 & 255}.{number & 255}.2", 10))) for number in range(0, 50000, 7)}
        tell([took < 5, sorted(words), sorted(wrong), len(egressguard.posture()["allowlist"])])
    """
    assert children.python_alone(source).last() == [True, ["OSError"], ["not-listed"], 100000]
