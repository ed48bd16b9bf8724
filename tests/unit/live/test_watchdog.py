import re
import time

from crsr_video.live.watchdog import Watchdog


def test_an_activity_that_is_stuck_is_reported_once_and_when_it_goes_on() -> None:
    reports: list[str] = []
    watchdog = Watchdog(reports.append, stuck_seconds=0.02)
    activity = watchdog.add("sink")
    activity.begin("writing a frame")
    watchdog.look()
    assert reports == []
    time.sleep(0.03)
    watchdog.look({"sink": "waiting for the reader"})
    watchdog.look()
    (line,) = reports
    assert re.fullmatch(r"stuck for \d s: writing a frame \(waiting for the reader\)", line)
    assert activity.end() >= 0.03
    activity.begin("writing a frame")
    watchdog.look()
    assert reports[1:] == ["sink goes on"]
    assert activity.busy_seconds >= 0.03


def test_waiting_for_work_does_not_count_as_stuck() -> None:
    reports: list[str] = []
    watchdog = Watchdog(reports.append, stuck_seconds=0.01)
    activity = watchdog.add("track")
    activity.begin("tracking faces")
    activity.end()
    time.sleep(0.02)
    watchdog.look()
    assert reports == []
