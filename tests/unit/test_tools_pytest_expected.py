"""What a test expects to be refused does not fail it: the marker, the fixture, `pytest.raises` by name."""

from __future__ import annotations

from pathlib import Path

from latched import run


def test_pytest_raises_by_name_expects_it(tmp_path: Path) -> None:
    source = """
        import egressguard, pytest, socket, unittest
        def dial():
            socket.create_connection(("posthog.example", 443))
        def test_block():
            with pytest.raises(egressguard.EgressViolation, match="posthog"):
                dial()
        def test_call():
            pytest.raises(egressguard.EgressViolation, dial)
        def test_tuple():
            with pytest.raises((ValueError, egressguard.EgressViolation)):
                dial()
        def test_group():
            with pytest.RaisesGroup(egressguard.EgressViolation):
                try:
                    dial()
                except Exception as error:
                    raise ExceptionGroup("some", [error])
        def test_cause():
            with pytest.raises(egressguard.EgressViolation):
                try:
                    dial()
                except Exception as error:
                    dial()
        class TestCase(unittest.TestCase):
            def test_unittest(self):
                with self.assertRaises(egressguard.EgressViolation):
                    dial()
    """
    assert "6 passed" in run(tmp_path, source)


def test_pytest_raises_of_a_wider_type_expects_nothing(tmp_path: Path) -> None:
    source = """
        import pytest, socket
        @pytest.mark.parametrize("kind", [RuntimeError, Exception, BaseException])
        def test_it(kind):
            with pytest.raises(kind):
                socket.create_connection(("posthog.example", 443))
    """
    assert "3 failed" in run(tmp_path, source)


def test_what_was_caught_by_name_excuses_nothing_else(tmp_path: Path) -> None:
    source = """
        import egressguard, pytest, socket
        def test_it():
            with pytest.raises(egressguard.EgressViolation):
                swallow("telemetry.example")
                socket.create_connection(("posthog.example", 443))
    """
    out = run(tmp_path, source)
    assert "1 failed" in out
    assert "telemetry.example:443" in out
    assert "posthog.example:443: refused" not in out.partition("unexpected violations")[2]


def test_a_client_that_retries_and_raises_the_violation_is_expected(tmp_path: Path) -> None:
    source = """
        import egressguard, pytest, socket
        def test_it():
            with pytest.raises(egressguard.EgressViolation):
                swallow()
                swallow()
                socket.create_connection(("posthog.example", 443))
    """
    assert "1 passed" in run(tmp_path, source)


def test_the_marker_expects_what_it_names(tmp_path: Path) -> None:
    source = """
        import pytest
        @pytest.mark.egress_expected("*.example", port=443, reason="not-listed")
        def test_named(): swallow()
        @pytest.mark.egress_expected("other.example")
        def test_another(): swallow()
        @pytest.mark.egress_expected
        def test_any(): swallow()
        @pytest.mark.egress_expected
        def test_nothing_happened(): pass
        @pytest.mark.egress_expected(at_least=0)
        def test_may_happen(): pass
        @pytest.mark.egress_expected(at_least=2)
        def test_too_few(): swallow()
    """
    out = run(tmp_path, source)
    assert "3 failed, 3 passed" in out
    for name in ("another", "nothing_happened", "too_few"):
        assert f"FAILED test_generated.py::test_{name}" in out
    assert "expected 1 refusals or more of anything, saw 0" in out


def test_a_misspelt_marker_is_an_error(tmp_path: Path) -> None:
    out = run(tmp_path, "import pytest\n@pytest.mark.egress_expected(hots='x')\ndef test_it(): pass")
    assert "1 error" in out
    assert "hots" in out


def test_the_fixture_expects_inside_its_block_alone(tmp_path: Path) -> None:
    source = """
        import pytest
        def test_inside(egress_expected):
            with egress_expected("posthog.example") as seen:
                swallow()
            assert [one.host for one in seen] == ["posthog.example"]
        def test_before(egress_expected):
            swallow()
            with egress_expected():
                swallow("telemetry.example")
        def test_after(egress_expected):
            with egress_expected():
                swallow()
            swallow("telemetry.example")
        def test_nothing(egress_expected):
            with egress_expected():
                pass
    """
    out = run(tmp_path, source)
    assert "3 failed, 1 passed" in out
