import re
import time

from crsr_video.live.watchdog import Watchdog


def test_what_is_stuck_is_told_once_and_when_it_goes_on() -> None:
    told: list[str] = []
    dog = Watchdog(told.append, patience=0.02)
    post = dog.post("sink")
    post.begin("writing a frame")
    dog.look()
    assert told == []
    time.sleep(0.03)
    dog.look({"sink": "waiting for the reader"})
    dog.look()
    (line,) = told
    assert re.fullmatch(r"stuck for \d s: writing a frame \(waiting for the reader\)", line)
    assert post.end() >= 0.03
    post.begin("writing a frame")
    dog.look()
    assert told[1:] == ["sink goes on"]
    assert post.busy >= 0.03


def test_waiting_for_work_is_not_being_stuck() -> None:
    told: list[str] = []
    dog = Watchdog(told.append, patience=0.01)
    post = dog.post("track")
    post.begin("looking for faces")
    post.end()
    time.sleep(0.02)
    dog.look()
    assert told == []
