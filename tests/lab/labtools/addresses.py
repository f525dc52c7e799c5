"""Who is where in the laboratory. Documentation prefixes (RFC 5737, RFC 3849) stand for the internet."""

from __future__ import annotations

INSIDE, INSIDE6 = "10.77.0.2", "fd77::2"
OUTSIDE, OUTSIDE6 = "10.77.0.1", "fd77::1"
DNSMASQ, DNSMASQ6 = "10.77.0.53", "fd77::53"
SCRIPTED, SCRIPTED6 = "10.77.0.54", "fd77::54"
HOST_NAME = "inside"
FENCE_PORT = 9  # where the harness sends its fences; no case may use it

API, API6 = "203.0.113.10", "2001:db8:a::10"
OTHER, OTHER6 = "203.0.113.20", "2001:db8:a::20"
UNLISTED, UNLISTED6 = "198.51.100.66", "2001:db8:bad::66"
SILENT, SILENT6 = "203.0.113.250", "2001:db8:dead::250"  # outside drops what comes for them
CLOSED, CLOSED6 = "203.0.113.251", "2001:db8:dead::251"  # a host without a service: it refuses every connection

LISTED_CROWD = [f"host{number:02}.listed.test" for number in range(20)]
UNLISTED_CROWD = [f"host{number:02}.unlisted.test" for number in range(20)]

# All names below these have the unlisted address, those of HOSTS excepted.
UNLISTED_DOMAINS = ("evil.test", "corp.test", "api.anthropic.com", "intranet", "localhost", "inside", "wild.test")

# Any address of this net has a name: ip-10-90-1-2.many.test
SYNTHETIC = ("many.test", "10.90.0.0/16")

HOSTS = {
    "api.anthropic.com": [API, API6],
    "cgr.dev": [OTHER, OTHER6],
    "four.test": ["203.0.113.4"],
    "six.test": ["2001:db8:a::6"],
    "one.test": ["203.0.113.11"],
    "two.test": ["203.0.113.12"],
    "wild.test": ["203.0.113.30"],
    "a.wild.test": ["203.0.113.31"],
    "b.a.wild.test": ["203.0.113.32"],
    **{name: [f"203.0.113.{100 + number}"] for number, name in enumerate(LISTED_CROWD)},
    **{name: [f"198.51.100.{100 + number}"] for number, name in enumerate(UNLISTED_CROWD)},
}
POINTERS = {"66.100.51.198.in-addr.arpa": "evil.test"}

# What the certificate of outside is for.
TLS_NAMES = [*HOSTS, "*.test", "*.wild.test", API, OTHER, API6, "203.0.113.4"]
