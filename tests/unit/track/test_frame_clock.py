"""Frames are placed in time, and faces are smoothed over time and not over frame numbers."""

import numpy as np
import pytest

from crsr_video.track.regions import view_of
from crsr_video.track.smoothing import FaceSmoother, FrameClock
from tests.support.tracking import frame_of, track_along

VIEW = view_of(frame_of(np.zeros((480, 640, 3), np.uint8)))


def clock_of(seconds: list[float]) -> FrameClock:
    clock = FrameClock()
    for index, moment in enumerate(seconds):
        clock.add(index, moment)
    return clock


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 60])
@pytest.mark.parametrize("digits", [3, 9])
def test_even_frames_are_counted(rate: float, digits: int) -> None:
    clock = clock_of([round(index / rate, digits) for index in range(300)])
    assert [clock.place(index) for index in range(60, 300)] == list(range(60, 300))


@pytest.mark.parametrize("gap", [2, 3, 6])
def test_missing_frames_leave_their_time(gap: int) -> None:
    times = [*range(20), *range(20 + gap - 1, 60)]
    clock = clock_of([time / 25 for time in times])
    assert [clock.place(index) for index in range(len(times))] == pytest.approx(times)


def test_places_are_bounded_and_go_on_at_both_ends() -> None:
    clock = clock_of([0, 0.04, 0.08, 900, 900.04])
    assert [clock.place(index) for index in (-2, 0, 2, 3, 4, 6)] == [-2, 0, 2, 10, 11, 13]


@pytest.mark.parametrize("lookahead", [4, 8])
@pytest.mark.parametrize("pattern", [(1, 2), (1, 1, 3), (1, 1, 1, 4)])
def test_even_motion_stays_even_where_frames_are_uneven(
    lookahead: int, pattern: tuple[int, ...]
) -> None:
    times = np.cumsum([pattern[index % len(pattern)] for index in range(70)])
    places = {index: (100.0 + 2 * time, 200.0) for index, time in enumerate(times)}
    track, smoother = track_along(places), FaceSmoother(lookahead, 16.0)
    for index, time in enumerate(times):
        smoother.clock.add(index, time / 25)
    found = []
    for at in range(70):
        face = smoother.face(track, at, begins_scene=at == 0, horizon=69, view=VIEW)
        assert face is not None
        found.append(face.landmarks.mean(0)[0])
    offsets = np.array(found[35:60]) - 2 * times[35:60]
    np.testing.assert_allclose(offsets, offsets.mean(), atol=1e-6)
