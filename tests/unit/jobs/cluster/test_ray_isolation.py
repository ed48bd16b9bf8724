"""Ray's effects on this process are temporary, and its private function may be absent."""

import logging
import os
import signal
import sys
from types import ModuleType

import pytest

from crsr_video.jobs.cluster.ray_isolation import (
    DeferredSignals,
    environment_defaults,
    sigterm_restored,
    worker_output_logged,
)

LOGGER = "crsr_video.jobs.cluster.ray_isolation"


def private_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Install a stand-in for `ray._private.worker`."""
    module = ModuleType("ray._private.worker")
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray._private", ModuleType("ray._private"))
    monkeypatch.setitem(sys.modules, "ray._private.worker", module)
    return module


def test_worker_output_is_logged_and_the_printer_restored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = private_module(monkeypatch)
    module.print_to_stdstream = print
    with caplog.at_level(logging.INFO, logger=LOGGER), worker_output_logged():
        module.print_to_stdstream({"lines": ["a worker died"]}, "ignored")
    assert [record.getMessage() for record in caplog.records] == ["Ray: a worker died"]
    assert module.print_to_stdstream is print


def test_a_version_of_ray_without_the_private_function_still_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = private_module(monkeypatch)
    with worker_output_logged():
        pass
    assert not hasattr(module, "print_to_stdstream")


def test_a_version_of_ray_without_the_private_module_still_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private_module(monkeypatch)
    monkeypatch.delitem(sys.modules, "ray._private.worker")
    with worker_output_logged():
        pass


def test_environment_variables_are_set_unless_the_user_has_set_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CRSR_TEST_SET", "user")
    monkeypatch.delenv("CRSR_TEST_UNSET", raising=False)
    with environment_defaults({"CRSR_TEST_SET": "ours", "CRSR_TEST_UNSET": "ours"}):
        assert (os.environ["CRSR_TEST_SET"], os.environ["CRSR_TEST_UNSET"]) == ("user", "ours")
    assert os.environ["CRSR_TEST_SET"] == "user"
    assert "CRSR_TEST_UNSET" not in os.environ


def test_the_handler_of_sigterm_is_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_restored():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before


def test_signals_are_deferred_until_they_are_checked() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with DeferredSignals() as signals:
            signal.raise_signal(signal.SIGTERM)
            signals.check()
            assert seen == [signal.SIGTERM]
            signals.check()
            signal.raise_signal(signal.SIGTERM)
            assert seen == [signal.SIGTERM]
        assert seen == [signal.SIGTERM] * 2
        signal.raise_signal(signal.SIGTERM)
        assert len(seen) == 3
    finally:
        signal.signal(signal.SIGTERM, before)
