import pytest

from crsr_video.live import watchdog
from crsr_video.live.watchdog import Watchdog
from tests.support.waiting import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(watchdog, "time", clock)
    return clock


def test_an_activity_that_is_stuck_is_reported_once_and_when_it_goes_on(clock: FakeClock) -> None:
    reports: list[str] = []
    watchdog = Watchdog(reports.append, stuck_seconds=2.0)
    activity = watchdog.add("sink")
    activity.begin("writing a frame")
    watchdog.look()
    assert reports == []
    clock.advance(3.0)
    watchdog.look({"sink": "waiting for the reader"})
    watchdog.look()
    assert reports == ["stuck for 3 s: writing a frame (waiting for the reader)"]
    assert activity.end() == 3.0
    activity.begin("writing a frame")
    watchdog.look()
    assert reports[1:] == ["sink goes on"]
    assert activity.busy_seconds == 3.0


def test_waiting_for_work_does_not_count_as_stuck(clock: FakeClock) -> None:
    reports: list[str] = []
    watchdog = Watchdog(reports.append, stuck_seconds=2.0)
    activity = watchdog.add("track")
    activity.begin("tracking faces")
    activity.end()
    clock.advance(3.0)
    watchdog.look()
    assert reports == []
