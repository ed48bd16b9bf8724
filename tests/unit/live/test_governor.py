from dataclasses import replace

import pytest

from crsr_video.live.governor import Governor, Sample
from crsr_video.stages.quality import QUALITY_LEVELS, Demand, LiveQuality

FINE = Sample(latency=0.03, track=0.004, restore=0.015, write=0.001, fresh=True)
LATE = replace(FINE, latency=0.09)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A governor that is shown frames at 30 a second."""

    def __init__(self, *crops: int, most: float = 0.08) -> None:
        self.clock, self.effort, self.told = Clock(), LiveQuality(), []
        self.effort.demand = Demand(crops)
        self.governor = Governor(
            self.effort, most, tell=lambda _, why: self.told.append(why), clock=self.clock
        )
        self.frames(FINE, 0.5)

    def frames(self, sample: Sample, seconds: float) -> int:
        for _ in range(round(30 * seconds)):
            self.clock.now += 1 / 30
            self.governor.push(sample)
        return self.effort.index


def test_what_fits_stays_at_full_quality() -> None:
    run = Run(64)
    assert run.frames(FINE, 60) == 0
    assert run.told == []


def test_a_few_late_frames_are_forgiven() -> None:
    run = Run(64)
    for _ in range(10):
        run.frames(FINE, 2)
        run.frames(LATE, 1 / 15)
    assert run.effort.index == 0


def test_late_frames_bring_it_down_within_seconds_and_past_levels_that_save_nothing() -> None:
    run = Run(64)
    assert run.frames(LATE, 1.0) == 2  # "smaller crops" is no help where all are small
    assert QUALITY_LEVELS[2].every == 2
    assert "took 90 ms" in run.told[0]


def test_without_faces_only_passthrough_helps() -> None:
    run = Run()
    run.frames(LATE, 1.5)
    assert not run.effort.level.enhances


def test_it_goes_down_to_passthrough_and_no_further() -> None:
    run = Run(128, 64, 64, 64, 64)
    assert run.frames(LATE, 60) == len(QUALITY_LEVELS) - 1


@pytest.mark.parametrize(
    "sample",
    [replace(FINE, dropped=1), replace(FINE, restore=0.0333), replace(FINE, track=0.0333)],
    ids=["dropped frames", "busy networks", "busy tracker"],
)
def test_overload_is_seen_before_frames_are_late(sample: Sample) -> None:
    run = Run(64)
    assert run.frames(sample, 2) > 0


def test_a_slow_reader_is_no_reason_to_do_less() -> None:
    run = Run(64)
    assert run.frames(replace(LATE, write=0.0333), 10) == 0


def test_it_comes_back_up_when_there_is_time_again() -> None:
    run = Run(64)
    run.frames(LATE, 1.5)
    assert run.effort.index == 3
    for index in range(30 * 30):
        level = run.effort.level
        fresh = index % level.every == 0
        pixels = (min(level.largest_crop, 64) / 64) ** 2
        run.frames(replace(FINE, restore=0.004 + fresh * 0.015 * pixels, fresh=fresh), 1 / 30)
    assert run.effort.index == 0
    assert run.told[-1] == "there is time again"


def test_it_does_not_come_up_where_the_work_would_not_fit() -> None:
    run = Run(64)
    run.frames(LATE, 1.5)
    down = run.effort.index
    assert run.effort.level.every == 2
    for _ in range(900):
        run.frames(replace(FINE, restore=0.040), 1 / 30)
        run.frames(replace(FINE, restore=0.005, fresh=False), 1 / 30)
    assert run.effort.index == down  # 40 ms of work do not go into 33


def test_steps_up_that_fail_become_rarer() -> None:
    run = Run(64)
    for _ in range(60 * 30):
        # Full quality is late, although nothing predicts it.
        run.frames(LATE if run.effort.index == 0 else FINE, 1 / 30)
    early = run.governor.steps
    for _ in range(240 * 30):
        run.frames(LATE if run.effort.index == 0 else FINE, 1 / 30)
    late = run.governor.steps - early
    assert early >= 4
    assert late / 4 < early / 2


def test_work_of_a_level_counts_what_the_networks_see() -> None:
    demand = Demand((128, 64, 32))
    assert demand.work(QUALITY_LEVELS[0]) == 4 + 1 + 0.25
    assert demand.work(QUALITY_LEVELS[1]) == 1 + 1 + 0.25
    assert demand.work(QUALITY_LEVELS[2]) == 2.25 / 2
    assert demand.work(QUALITY_LEVELS[-1]) == 0
