from dataclasses import replace

import pytest

from crsr_video.live.quality_controller import FrameTiming, QualityController
from crsr_video.stages.quality import QUALITY_LEVELS, Demand, LiveQuality

FINE = FrameTiming(latency=0.03, track=0.004, restore=0.015, write=0.001, fresh=True)
LATE = replace(FINE, latency=0.09)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A controller that receives 30 frames per second."""

    def __init__(self, *crops: int, most: float = 0.08) -> None:
        self.clock, self.quality, self.reasons = Clock(), LiveQuality(), []
        self.quality.demand = Demand(crops)
        self.controller = QualityController(
            self.quality, most, on_step=lambda _, why: self.reasons.append(why), clock=self.clock
        )
        self.frames(FINE, 0.5)

    def frames(self, sample: FrameTiming, seconds: float) -> int:
        for _ in range(round(30 * seconds)):
            self.clock.now += 1 / 30
            self.controller.push(sample)
        return self.quality.index


def test_work_that_fits_keeps_full_quality() -> None:
    run = Run(64)
    assert run.frames(FINE, 60) == 0
    assert run.reasons == []


def test_a_few_late_frames_change_nothing() -> None:
    run = Run(64)
    for _ in range(10):
        run.frames(FINE, 2)
        run.frames(LATE, 1 / 15)
    assert run.quality.index == 0


def test_late_frames_lower_the_level_past_levels_that_save_nothing() -> None:
    run = Run(64)
    assert run.frames(LATE, 1.0) == 2  # "smaller crops" is no help where all are small
    assert QUALITY_LEVELS[2].every == 2
    assert "took 90 ms" in run.reasons[0]


def test_without_faces_the_level_falls_to_passthrough() -> None:
    run = Run()
    run.frames(LATE, 1.5)
    assert not run.quality.level.enhances


def test_the_lowest_level_is_passthrough() -> None:
    run = Run(128, 64, 64, 64, 64)
    assert run.frames(LATE, 60) == len(QUALITY_LEVELS) - 1


@pytest.mark.parametrize(
    "sample",
    [replace(FINE, dropped=1), replace(FINE, restore=0.0333), replace(FINE, track=0.0333)],
    ids=["dropped frames", "busy networks", "busy tracker"],
)
def test_overload_lowers_the_level_before_frames_are_late(sample: FrameTiming) -> None:
    run = Run(64)
    assert run.frames(sample, 2) > 0


def test_a_slow_receiver_does_not_lower_the_level() -> None:
    run = Run(64)
    assert run.frames(replace(LATE, write=0.0333), 10) == 0


def test_the_level_rises_when_there_is_time_again() -> None:
    run = Run(64)
    run.frames(LATE, 1.5)
    assert run.quality.index == 3
    for index in range(30 * 30):
        level = run.quality.level
        fresh = index % level.every == 0
        pixels = (min(level.largest_crop, 64) / 64) ** 2
        run.frames(replace(FINE, restore=0.004 + fresh * 0.015 * pixels, fresh=fresh), 1 / 30)
    assert run.quality.index == 0
    assert run.reasons[-1] == "there is time again"


def test_the_level_does_not_rise_if_the_work_would_not_fit() -> None:
    run = Run(64)
    run.frames(LATE, 1.5)
    down = run.quality.index
    assert run.quality.level.every == 2
    for _ in range(900):
        run.frames(replace(FINE, restore=0.040), 1 / 30)
        run.frames(replace(FINE, restore=0.005, fresh=False), 1 / 30)
    assert run.quality.index == down  # 40 ms of work do not go into 33


def test_failed_steps_up_become_rarer() -> None:
    run = Run(64)
    for _ in range(60 * 30):
        # Full quality is late, although nothing predicts it.
        run.frames(LATE if run.quality.index == 0 else FINE, 1 / 30)
    early = run.controller.steps
    for _ in range(240 * 30):
        run.frames(LATE if run.quality.index == 0 else FINE, 1 / 30)
    late = run.controller.steps - early
    assert early >= 4
    assert late / 4 < early / 2


def test_work_of_a_level_counts_what_the_networks_see() -> None:
    demand = Demand((128, 64, 32))
    assert demand.work(QUALITY_LEVELS[0]) == 4 + 1 + 0.25
    assert demand.work(QUALITY_LEVELS[1]) == 1 + 1 + 0.25
    assert demand.work(QUALITY_LEVELS[2]) == 2.25 / 2
    assert demand.work(QUALITY_LEVELS[-1]) == 0
