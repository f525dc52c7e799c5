"""The pytest plugin: what a test did not expect fails it, whoever swallowed the exception. Each run is a child."""

from __future__ import annotations

import sys
from pathlib import Path

import children
import pytest
from latched import CONFTEST, PLUGIN, SWALLOW, run


def test_a_swallowed_violation_fails_the_test(tmp_path: Path) -> None:
    out = run(tmp_path, "def test_it(): swallow()")
    assert "1 failed" in out
    assert "refused that this test did not expect (call)" in out
    assert "tried posthog.example:443: refused, not-listed (getaddrinfo)" in out
    assert "test_generated.py:6 tried" in out  # the line that dialled


def test_without_a_violation_nothing_fails(tmp_path: Path) -> None:
    out = run(tmp_path, "def test_it(): pass")
    assert "1 passed" in out
    assert "egressguard:" not in out


def test_without_the_guard_nothing_fails(tmp_path: Path) -> None:
    source = "import egressguard\ndef test_it(): assert egressguard.violation_count() == 0"
    assert "1 passed" in run(tmp_path, source, conftest="")


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.fixture\ndef dials():\n    swallow()\ndef test_it(dials): pass",
        "@pytest.fixture\ndef dials():\n    yield\n    swallow()\ndef test_it(dials): pass",
        "@pytest.fixture(scope='session')\ndef dials():\n    yield\n    swallow()\ndef test_it(dials): pass",
    ],
    ids=["setup", "teardown", "session teardown"],
)
def test_setup_and_teardown_count(tmp_path: Path, source: str) -> None:
    out = run(tmp_path, f"import pytest\n{source}")
    assert "1 error" in out
    assert "posthog.example:443" in out


def test_a_background_thread_counts(tmp_path: Path) -> None:
    source = """
        import threading
        def test_it():
            thread = threading.Thread(target=swallow, name="sender")
            thread.start()
            thread.join()
    """
    out = run(tmp_path, source)
    assert "1 failed" in out


def test_a_thread_that_an_earlier_test_left_is_named_as_such(tmp_path: Path) -> None:
    source = """
        import threading
        go, done = threading.Event(), threading.Event()
        def late():
            go.wait()
            swallow()
            done.set()
            threading.Event().wait(30)
        def test_one():
            threading.Thread(target=late, daemon=True, name="late sender").start()
        def test_two():
            go.set()
            assert done.wait(30)
    """
    out = run(tmp_path, source)
    assert "1 failed, 1 passed" in out
    assert "in thread late sender" in out
    assert "in a thread that ran before this test began" in out


def test_a_forked_child_counts(tmp_path: Path) -> None:
    source = """
        import os
        def test_it():
            pid = os.fork()
            if pid == 0:
                swallow()
                os._exit(0)
            os.waitpid(pid, 0)
    """
    out = run(tmp_path, source, "-W", "ignore::DeprecationWarning")
    assert "1 failed" in out
    assert "in the forked process" in out


def test_a_skipped_test_that_dialled_fails(tmp_path: Path) -> None:
    out = run(tmp_path, "import pytest\ndef test_it():\n    swallow()\n    pytest.skip('no network')")
    assert "1 failed" in out


def test_a_test_that_failed_anyway_tells_it_beside(tmp_path: Path) -> None:
    out = run(tmp_path, "def test_it():\n    swallow()\n    assert 1 == 2")
    assert "assert 1 == 2" in out
    assert "Captured egressguard call" in out
    assert "1 failed" in out


def test_an_import_that_dials_fails_the_collection(tmp_path: Path) -> None:
    out = run(tmp_path, "swallow()\ndef test_it(): pass")
    assert "1 error" in out
    assert "did not expect (collection)" in out


def test_a_conftest_that_dials_fails_the_run(tmp_path: Path) -> None:
    child = children.pytest_run(
        tmp_path, "def test_it(): pass", conftest=CONFTEST + SWALLOW + "swallow()\n", plugins=(PLUGIN,)
    )
    assert child.code == 1
    assert "1 passed" in child.out
    assert "outside of every test" in child.out


def test_more_than_the_journal_holds_is_told(tmp_path: Path) -> None:
    source = """
        import egressguard
        def test_it():
            for _ in range(egressguard._egressguard.JOURNAL_SLOTS + 10):
                swallow()
    """
    out = run(tmp_path, source, "--tb=short")
    assert "1 failed" in out
    assert "10 that the journal no longer holds" in out


def test_observing_fails_nothing_and_says_what_would_be_refused(tmp_path: Path) -> None:
    # The address is this machine's: the dial is let through and ends here.
    out = run(
        tmp_path,
        "def test_it(): swallow('127.0.0.1', 9)",
        conftest="import egressguard\negressguard.observe()\n",
    )
    assert "1 passed" in out
    assert "this would have been refused" in out
    assert "1  127.0.0.1:9" in out


def test_workers_of_xdist_report_to_their_controller(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    source = """
        def test_one(): swallow("one.example")
        def test_two(): pass
        def test_three(): swallow("three.example")
    """
    out = run(tmp_path, source, "-n2", plugins=("xdist",))
    assert "2 failed, 1 passed" in out
    summary = out.partition("egressguard: unexpected violations")[2]
    assert "one.example:443" in summary
    assert "three.example:443" in summary


def test_a_rerun_that_dials_nothing_passes(tmp_path: Path) -> None:
    pytest.importorskip("pytest_rerunfailures")
    source = """
        tries = []
        def test_it():
            tries.append(1)
            if len(tries) == 1:
                swallow()
    """
    out = run(tmp_path, source, "--reruns=1", plugins=("pytest_rerunfailures",))
    assert "1 passed, 1 rerun" in out


def test_the_entry_point_loads_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(SWALLOW + "def test_it(): swallow()\n")
    (tmp_path / "none.toml").write_text("")
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        str(tmp_path / "none.toml"),
        f"--rootdir={tmp_path}",
    ]
    assert "1 failed" in children.start([*command, str(tmp_path)], cwd=tmp_path).out
    assert "1 passed" in children.start([*command, "-p", "no:egressguard", str(tmp_path)], cwd=tmp_path).out


def test_it_names_no_capability_and_does_not_install() -> None:
    import egressguard

    folder = Path(egressguard.__file__).parent
    for name in ("pytest_plugin.py", "_pytest_latch.py", "_expected.py", "_raises.py"):
        text = (folder / name).read_text()
        assert "_set_test" + "_loopback" not in text
        assert "install(" not in text.replace("`install", "")


def test_the_anthropic_client_retries_and_wraps_and_the_test_fails(tmp_path: Path) -> None:
    pytest.importorskip("anthropic")
    source = """
        import anthropic, pytest
        client = anthropic.Anthropic(api_key="x", base_url="https://evil.example", max_retries=1)
        def ask():
            client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
        def test_wrapped():
            with pytest.raises(anthropic.APIConnectionError):
                ask()
        @pytest.mark.egress_expected("evil.example", at_least=2)
        def test_expected():
            with pytest.raises(anthropic.APIConnectionError):
                ask()
    """
    out = run(tmp_path, source, "--tb=short")
    assert "1 failed, 1 passed" in out
    assert "2 attempts were refused that this test did not expect (call)" in out
    assert "tried evil.example:443: refused" in out


def test_urllib3_with_retries_counts(tmp_path: Path) -> None:
    pytest.importorskip("urllib3")
    source = """
        import urllib3
        def test_it():
            with contextlib.suppress(Exception):
                urllib3.PoolManager(retries=urllib3.Retry(2)).request("GET", "https://evil.example/")
    """
    out = run(tmp_path, source)
    assert "1 failed" in out
    assert "urllib3" in out.partition("unexpected violations")[2]
