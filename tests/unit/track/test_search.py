"""The schedule of detector runs: soon where something changes, and at a bounded cost."""

from itertools import chain

import cv2
import numpy as np
import pytest

from crsr_video.track.detection import DetectorRun
from crsr_video.track.regions import Region, tile_levels, upside_down
from crsr_video.track.search import SearchSchedule
from tests.support.tracking import view_sized


def tiles_of(view):
    return list(chain.from_iterable(tile_levels(view, 16.0)))


def tile_runs(runs, view):
    """Return the runs that are not on the whole frame."""
    return [run for run in runs if run.region not in (view.whole, upside_down(view.whole))]


def cost(runs):
    """Return the cost in runs of the full-range detector."""
    return sum(1.0 if run.detector == "full_range" else 0.4 for run in runs)


def schedule_after(view, luma, frames=241):
    """Return a schedule that has run both detectors on every tile of a still scene."""
    schedule = SearchSchedule(12)
    schedule.begin(view, luma, 0)
    for index in range(1, frames):
        schedule.next(view, luma, index)
    return schedule


def test_a_scene_begins_with_a_search_of_everything():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    schedule = SearchSchedule(12)
    runs = schedule.begin(view, luma, 0)
    assert runs[:2] == [DetectorRun(view.whole), DetectorRun(view.whole, "short_range")]
    runs += schedule.next(view, luma, 1)
    tiles = [run.region for run in tile_runs(runs, view) if run.detector == "full_range"]
    assert tiles == tiles_of(view)


def test_large_faces_upside_down_are_searched_for_everywhere_but_seldom():
    view, luma = view_sized(1280, 720), np.zeros((36, 64), np.float32)
    schedule = SearchSchedule(12)
    frames = [schedule.begin(view, luma, 0), *(schedule.next(view, luma, i) for i in range(1, 600))]
    turned = [run for runs in frames for run in runs if run.region.angle]
    assert upside_down(view.whole) in [run.region for run in frames[0]]
    large = {upside_down(tile) for tiles in tile_levels(view, 16.0)[:-1] for tile in tiles}
    assert {run.region for run in turned} == {*large, upside_down(view.whole)}
    assert len(turned) < 0.1 * len(frames)


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (3840, 2160)])
def test_the_first_search_is_spread_over_frames(size):
    view, luma = view_sized(*size), np.zeros((36, 64), np.float32)
    schedule = SearchSchedule(12)
    frames = [schedule.begin(view, luma, 0), *(schedule.next(view, luma, i) for i in range(1, 40))]
    assert max(map(cost, frames)) <= 16
    # The large tiles come first, so that large faces need not wait.
    sides = [run.region.side for runs in frames for run in tile_runs(runs, view)]
    count = len(tiles_of(view))
    assert sides[:count] == sorted(sides[:count], reverse=True)
    assert len(sides) >= count


def test_a_still_scene_needs_few_runs():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    schedule = schedule_after(view, luma)
    runs = [run for index in range(241, 301) for run in schedule.next(view, luma, index)]
    assert len(runs) - len(tile_runs(runs, view)) == 8  # One of them is upside down.
    assert len(runs) < 60


def later_runs(luma, changed, tracked=(), frames=23):
    """Return (frame, run) on small tiles after a still scene has changed."""
    view = view_sized(640, 480)
    schedule = schedule_after(view, luma)
    return [
        (index, run)
        for index in range(241, 241 + frames)
        for run in schedule.next(view, changed, index, tracked)
        if run.region.side < 250
    ]


def test_a_tile_that_changes_is_searched_soon_and_once_by_each_detector():
    luma = np.zeros((48, 64), np.float32)
    changed = luma.copy()
    changed[44, 3] = 80  # This pixel is in one tile only.
    x, y = 35, 445
    here = [
        (index, run)
        for index, run in later_runs(luma, changed, frames=40)
        if max(abs(run.region.x - x), abs(run.region.y - y)) < run.region.side / 2
    ]
    assert sorted(run.detector for _, run in here) == ["full_range", "short_range"]
    assert len({run.region for _, run in here}) == 1
    # The small-face detector comes first; the other one has run on this tile shortly before.
    assert here[0][0] < 252 and here[1][0] < 272


def test_a_tile_that_goes_on_changing_is_not_searched_all_the_time(rng):
    view, luma = view_sized(1920, 1080), np.zeros((36, 64), np.float32)
    schedule = schedule_after(view, luma)
    frames: dict[DetectorRun, list[int]] = {}
    for index in range(241, 400):
        changed = luma.copy()
        changed[20:22, 28:30] = rng.uniform(0, 255)
        for run in tile_runs(schedule.next(view, changed, index), view):
            frames.setdefault(run, []).append(index)
    intervals = np.concatenate([np.diff(seen) for seen in frames.values()])
    assert len(intervals) > 20
    assert 12 <= intervals.min() < 30


def textured(rng):
    """Return a scene that is larger than a thumbnail, and as smooth as thumbnails are."""
    noise = rng.uniform(0, 255, (96, 128)).astype(np.float32)
    return 3 * cv2.GaussianBlur(noise, (0, 0), 2) - 250


def thumbnail_at(x, scene):
    """Return the thumbnail of the part of the scene that begins at (x, 20)."""
    shift = np.array([[1.0, 0, -x], [0, 1.0, -20]])
    return cv2.warpAffine(scene, shift, (64, 36), flags=cv2.INTER_LINEAR)


def inner_runs(schedule, view, film):
    """Count the runs away from the rim, where a moving camera shows something new."""
    runs = [run for i, luma in enumerate(film) for run in schedule.next(view, luma, 241 + i)]
    inner = np.array([200, 200, view.width - 201, view.height - 201])
    return sum(
        bool((run.region.box[:2] > inner[:2]).all() and (run.region.box[2:] < inner[2:]).all())
        for run in tile_runs(runs, view)
    )


def test_motion_of_the_camera_is_no_change(rng):
    view, scene = view_sized(1920, 1080), textured(rng)
    start = thumbnail_at(20, scene)
    pan = [thumbnail_at(20 - 0.1 * i, scene) for i in range(60)]
    with_camera = inner_runs(schedule_after(view, start), view, pan)
    apart = [np.where(np.arange(36)[:, None] % 12 < 6, pan[i], pan[0]) for i in range(60)]
    by_itself = inner_runs(schedule_after(view, start), view, apart)
    assert with_camera < by_itself / 3


def test_changes_on_a_tracked_face_start_no_search():
    luma = np.zeros((48, 64), np.float32)
    changed = luma.copy()
    changed[43:46, 2:5] = 80
    face = [Region(32.0, 445.0, 60.0, 60.0)]
    assert later_runs(luma, changed, face) == later_runs(luma, luma, face)
    assert later_runs(luma, changed) != later_runs(luma, luma)


@pytest.mark.parametrize("size, most", [((640, 480), 0.6), ((1920, 1080), 2.5)])
def test_every_tile_has_its_turn_when_everything_changes(size, most, rng):
    view = view_sized(*size)
    schedule = SearchSchedule(8)
    runs = schedule.begin(view, np.zeros((36, 64), np.float32), 0)
    count = 600
    for index in range(1, count):
        luma = rng.uniform(0, 255, (36, 64)).astype(np.float32)
        runs += schedule.next(view, luma, index)
    for detector in ("full_range", "short_range"):
        assert {run.region for run in runs if run.detector == detector} >= set(tiles_of(view))
    assert cost(runs) / count < most


def test_tiles_inside_a_tracked_face_are_not_searched():
    view, luma = view_sized(1920, 1080), np.zeros((36, 64), np.float32)
    face = Region(960, 540, 700, 700)

    def regions(tracked):
        schedule = SearchSchedule(12)
        schedule.begin(view, luma, 0)
        frames = [schedule.next(view, luma, i, tracked) for i in range(1, 40)]
        return [run.region for runs in frames for run in runs]

    def is_inside(tile):
        return max(abs(tile.x - 960), abs(tile.y - 540)) + tile.side / 2 <= 350

    assert any(map(is_inside, regions([])))
    assert not any(map(is_inside, regions([face])))


def test_the_same_thumbnails_give_the_same_runs(rng):
    view = view_sized(1280, 720)
    film = rng.uniform(0, 255, (40, 36, 64)).astype(np.float32)

    def runs():
        schedule = SearchSchedule(12)
        first = schedule.begin(view, film[0], 5)
        return [first, *(schedule.next(view, luma, 5 + i) for i, luma in enumerate(film) if i)]

    assert runs() == runs()
