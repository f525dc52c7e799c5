"""Who did it: the application's line, the library that it called, the distribution of that."""

from __future__ import annotations

import sys
from pathlib import Path

import children
import pytest

PRELUDE = """
import contextlib, sys, socket, threading
sys.path.insert(0, sys.argv[1])
import egressguard
from inside import tell
egressguard.install()
"""
LIBRARY = """
import socket, telemetry_core.wire
def send(): telemetry_core.wire.dial()
"""
WIRE = "import socket\ndef dial():\n    socket.create_connection(('posthog.example', 443))\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder of installed packages: `telemetry` calls `telemetry_core`, a namespace is shared by two."""
    folder = tmp_path / "site-packages"
    files = {
        "telemetry/__init__.py": LIBRARY,
        "telemetry_core/wire.py": WIRE,
        "Telemetry-2.34.dist-info/METADATA": "Metadata-Version: 2.1\nName: Telemetry\nVersion: 2.34\n",
        "Telemetry-2.34.dist-info/RECORD": "telemetry/__init__.py,,\n",
        "core_of_it-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: core-of-it\nVersion: 1.0\n",
        "core_of_it-1.0.dist-info/RECORD": "telemetry_core/wire.py,,\n",
        "shared/one.py": WIRE,
        "shared/two.py": WIRE,
        "shared_one-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: shared-one\nVersion: 1\n",
        "shared_one-1.dist-info/RECORD": "shared/one.py,,\n",
        "shared_two-2.dist-info/METADATA": "Metadata-Version: 2.1\nName: shared-two\nVersion: 2\n",
        "shared_two-2.dist-info/RECORD": "shared/two.py,,\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def text_of(call: str, site: Path) -> str:
    """Return the text of the violation that `call` makes, called from yourpkg/telemetry.py:3."""
    package = site.parent / "yourpkg"
    package.mkdir()
    (package / "telemetry.py").write_text(f"import contextlib\ndef run(call):\n    {call}\n")
    source = """
sys.path.insert(0, sys.argv[2])
import yourpkg.telemetry
with contextlib.suppress(egressguard.EgressViolation):
    yourpkg.telemetry.run(None)
tell(str(egressguard.violations()[-1]))
"""
    told: str = children.python(PRELUDE + source, site, site.parent).last()
    return told


def test_the_library_that_the_application_called_is_named(site: Path) -> None:
    text = text_of("import telemetry; telemetry.send()", site)
    who, _, what = text.partition(" tried ")
    assert who == "telemetry 2.34 (called from yourpkg/telemetry.py:3)"
    assert what == "posthog.example:443: refused, not-listed (getaddrinfo)"


def test_a_package_named_unlike_its_distribution_is_found(site: Path) -> None:
    assert text_of("import telemetry_core.wire; telemetry_core.wire.dial()", site).startswith("core-of-it 1.0 (called")


def test_of_a_shared_namespace_the_distribution_of_the_file_is_named(site: Path) -> None:
    assert text_of("import shared.two; shared.two.dial()", site).startswith("shared-two 2 (called")


def test_the_applications_own_dial_names_its_line(site: Path) -> None:
    text = text_of("import socket; socket.create_connection(('posthog.example', 443))", site)
    assert text.startswith("yourpkg/telemetry.py:3 tried posthog.example:443")


def test_a_thread_is_named(site: Path) -> None:
    source = """
import telemetry
def send():
    with contextlib.suppress(egressguard.EgressViolation):
        telemetry.send()
    tell(str(egressguard.violations()[-1]))
thread = threading.Thread(target=send, name="consumer")
thread.start()
thread.join()
tell(egressguard.violations()[-1].thread_name)
"""
    text, later = children.python(PRELUDE + source, site).told()
    assert "tried posthog.example:443 in thread consumer: refused" in text
    assert later is None  # the thread has ended


def test_requests_is_named_not_what_it_is_built_on(tmp_path: Path) -> None:
    requests = pytest.importorskip("requests")
    source = """
import requests
with contextlib.suppress(egressguard.EgressViolation):
    requests.get("https://posthog.example/")
one = egressguard.violations()[-1]
tell([one.distribution, one.file, one.library_file])
"""
    distribution, file, library = children.python(PRELUDE + source, tmp_path).last()
    assert distribution == f"requests {requests.__version__}"
    assert file.endswith("urllib3/util/connection.py")
    assert library.endswith("requests/api.py")


def test_broken_metadata_costs_no_record(site: Path) -> None:
    (site / "core_of_it-1.0.dist-info" / "METADATA").unlink()
    (site / "core_of_it-1.0.dist-info" / "RECORD").write_bytes(b"\xff\xfe")
    text = text_of("import telemetry_core.wire; telemetry_core.wire.dial()", site)
    assert "tried posthog.example:443" in text


def test_working_it_out_does_not_load_metadata_where_the_names_agree(site: Path) -> None:
    source = """
import telemetry
with contextlib.suppress(egressguard.EgressViolation):
    telemetry.send()
one = egressguard.violations()[-1]
before = set(sys.modules)
tell(one.distribution)
tell("importlib.metadata" in set(sys.modules) - before)
"""
    # The exception of the standard library's own logging aside, nothing is imported.
    assert children.python(PRELUDE + source, site).told()[0] in ("telemetry 2.34", "Telemetry 2.34")
    assert sys.version_info >= (3, 11)
