"""Stages of live runs: faces are enhanced less often, and the last change is carried on."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from crsr_video.stages.budget import FaceBudget
from crsr_video.stages.carry import Carrier
from crsr_video.stages.quality import NO_TIME, QUALITY_LEVELS, LiveQuality, QualityLevel
from crsr_video.types import Crop, Face, TrackedFrame
from tests.support.frames import make_frame
from tests.support.operations import NUMPY

RNG = np.random.default_rng(5)
FRAME = make_frame("yuv420p", 64, 64, RNG)
EYE = np.eye(2, 3)


def face(track: int = 1, width: float = 40.0, **fields: object) -> Face:
    points = np.array([[10.0, 10], [30, 10], [20, 20], [12, 30], [28, 30]])
    return Face(track, points, (0.0, 0.0, width, width), 1.0, **fields)


def item(*faces: Face, cut: bool = False) -> TrackedFrame:
    return TrackedFrame(FRAME, faces, cut)


def at(level: int) -> LiveQuality:
    quality = LiveQuality()
    quality.index = level
    return quality


def named(name: str) -> int:
    return next(i for i, level in enumerate(QUALITY_LEVELS) if level.name == name)


# Budget -----------------------------------------------------------------------------------------


def test_at_full_quality_every_face_is_fresh_and_whole() -> None:
    stage = FaceBudget(at(0))
    for _ in range(5):
        (one,) = stage.push(item(face(), face(2, 20)))
        assert all(f.fresh and f.strength == 1 and f.skipped is None for f in one.faces)
        assert all(f.largest_crop == 128 for f in one.faces)


def test_every_second_frame_is_fresh() -> None:
    quality = at(named("every second frame"))
    stage = FaceBudget(quality)
    fresh = [stage.push(item(face()))[0].faces[0].fresh for _ in range(6)]
    assert fresh == [True, False] * 3
    assert not quality.fresh


def test_a_late_frame_goes_without_networks_once() -> None:
    quality = at(0)
    stage = FaceBudget(quality)
    quality.hurry = True
    fresh = [stage.push(item(face()))[0].faces[0].fresh for _ in range(3)]
    assert fresh == [False, True, True]


def test_fewer_faces_are_the_largest_and_the_others_fade_out() -> None:
    quality = at(0)
    stage = FaceBudget(quality)
    faces = [face(track, 10.0 + track) for track in range(1, 7)]
    stage.push(item(*faces))
    quality.index = named("four faces, every second frame")
    strengths = []
    for _ in range(9):
        (one,) = stage.push(item(*faces))
        strengths.append(one.faces[0].strength if one.faces[0].skipped is None else 0.0)
        assert [f.skipped for f in one.faces[2:]] == [None] * 4
    assert strengths[0] == pytest.approx(7 / 8)
    assert strengths == sorted(strengths, reverse=True)
    assert one.faces[0].skipped == one.faces[1].skipped == NO_TIME


def test_an_enhanced_face_keeps_its_place_before_an_equal_one() -> None:
    quality = at(named("one face, every third frame"))
    stage = FaceBudget(quality)
    for index in range(40):
        wobble = 2.0 * (-1) ** index
        (one,) = stage.push(item(face(1, 40 + wobble), face(2, 40 - wobble)))
    assert one.faces[0].skipped is None
    assert one.faces[1].skipped == NO_TIME


def test_passthrough_fades_and_then_says_so_and_comes_back_slowly() -> None:
    quality = at(0)
    stage = FaceBudget(quality)
    stage.push(item(face()))
    quality.index = len(QUALITY_LEVELS) - 1
    for _ in range(7):
        stage.push(item(face()))
        assert not quality.faded
    stage.push(item(face()))
    assert quality.faded
    quality.index = 0
    (one,) = stage.push(item(face()))
    assert not quality.faded
    assert one.faces[0].strength == pytest.approx(1 / 8)


def test_the_users_own_choices_stay() -> None:
    (one,) = FaceBudget(at(0)).push(item(face(strength=0.5), face(2, skipped="not chosen")))
    assert one.faces[0].strength == 0.5
    assert one.faces[1].skipped == "not chosen"


# Carry ------------------------------------------------------------------------------------------


def picture(side: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0.2, 0.8, (3, side // 4, side // 4)).astype(np.float32)
    return np.stack([cv2.resize(plane, (side, side)) for plane in rough])


def enhanced(seed: int = 1) -> Face:
    small = picture(64, seed)
    large = np.stack([cv2.resize(p, (256, 256), interpolation=cv2.INTER_CUBIC) for p in small])
    detail = 0.05 * np.sin(np.arange(256) / 3, dtype=np.float32)
    return face(crop=Crop(small, EYE), ideal_crop=64, enhanced=Crop(large + detail, 4 * EYE))


def plain(seen: Face, crop: np.ndarray | None = None) -> Face:
    assert seen.crop is not None
    image = seen.crop.image if crop is None else crop
    return replace(seen, crop=Crop(image, EYE), enhanced=None, fresh=False)


def test_the_same_crop_gets_the_same_picture() -> None:
    stage = Carrier(NUMPY, LiveQuality())
    seen = enhanced()
    assert stage.push(item(seen))[0].faces[0] is seen
    (one,) = stage.push(item(plain(seen)))
    carried = one.faces[0].enhanced
    assert carried is not None
    np.testing.assert_allclose(carried.image, seen.enhanced.image, atol=1e-5)
    np.testing.assert_allclose(carried.crop_from_frame, [[4, 0, 1.5], [0, 4, 1.5]])


def test_no_change_is_carried_to_a_face_that_has_changed() -> None:
    stage = Carrier(NUMPY, LiveQuality())
    seen = enhanced()
    stage.push(item(seen))
    other = seen.crop.image.copy()
    other[:, :32] = 1 - other[:, :32]
    (one,) = stage.push(item(plain(seen, other)))
    large = np.stack([cv2.resize(p, (256, 256), interpolation=cv2.INTER_CUBIC) for p in other])
    added = np.abs(one.faces[0].enhanced.image - large)
    assert added[:, 180:].max() == pytest.approx(0.05, abs=0.005)
    assert np.median(added[:, :100]) < 0.01


def test_a_crop_of_another_size_can_be_carried_on() -> None:
    stage = Carrier(NUMPY, LiveQuality())
    seen = enhanced()
    stage.push(item(seen))
    small = np.stack(
        [cv2.resize(p, (32, 32), interpolation=cv2.INTER_AREA) for p in seen.crop.image]
    )
    (one,) = stage.push(item(plain(seen, small)))
    assert one.faces[0].enhanced.size == 256
    error = np.abs(one.faces[0].enhanced.image - seen.enhanced.image).mean()
    assert error < 0.02


def test_no_change_is_carried_too_long_over_a_cut_or_to_another_person() -> None:
    stage = Carrier(NUMPY, LiveQuality())
    seen = enhanced()
    stage.push(item(seen))
    assert stage.push(item(replace(plain(seen), track=2)))[0].faces[0].enhanced is None
    assert stage.push(item(plain(seen)))[0].faces[0].enhanced is None  # it was away
    stage.push(item(seen))
    found = [stage.push(item(plain(seen)))[0].faces[0].enhanced is not None for _ in range(10)]
    assert found == [True] * 8 + [False] * 2
    stage.push(item(seen))
    assert stage.push(item(plain(seen), cut=True))[0].faces[0].enhanced is None


def test_demand_counts_those_for_whom_there_was_no_time() -> None:
    quality = LiveQuality()
    stage = Carrier(NUMPY, quality)
    seen = enhanced()
    others = (face(2, skipped=NO_TIME), face(3, skipped="turned away"))
    stage.push(item(replace(seen, ideal_crop=128), *others))
    assert sorted(quality.demand.crops) == [64, 128]


def test_levels_never_ask_for_more_on_the_way_down() -> None:
    def costs(level: QualityLevel) -> tuple[float, ...]:
        return (level.largest_crop, 1 / level.every, level.most_faces or 10**6 * level.enhances)

    for above, below in pairwise(QUALITY_LEVELS):
        assert all(b <= a for a, b in zip(costs(above), costs(below), strict=True))
