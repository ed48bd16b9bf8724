from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from crsr_video.evaluation.video_measures import (
    FlickerMeasurement,
    Steadiness,
    flicker_at_equal_sharpness,
    flow_between,
)
from crsr_video.stages.smooth import Smoother
from crsr_video.types import Crop
from tests.support.frames import flat_frame, make_face, tracked
from tests.support.operations import NUMPY

PLACE = np.eye(2, 3)
FRAME = flat_frame("gray", 4, 4, (0, 0, 0))


def face(enhanced, consistent=None, track=0):
    """Return a face with given pictures. Its consistent crop is grey unless given."""
    small = enhanced.shape[-1] // 4
    if consistent is None:
        consistent = np.full((3, small, small), 0.5, np.float32)
    return replace(
        make_face(),
        track=track,
        crop=Crop(consistent, PLACE),
        consistent=Crop(consistent, PLACE),
        enhanced=Crop(enhanced, PLACE),
    )


def items(faces, cuts=()):
    return [
        tracked(replace(FRAME, pts=number), *each, cut=number in cuts)
        for number, each in enumerate(faces)
    ]


def run(smoother, given):
    done = [out for item in given for out in smoother.push(item)]
    return done + smoother.flush()


def grey(value, size=32):
    return np.full((3, size, size), value, np.float32)


def noisy(rng, sigma=0.05, size=32):
    return (0.5 + rng.normal(0, sigma, (3, size, size))).astype(np.float32)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("radius", [0, 1, 2, 4])
def test_a_still_picture_stays_as_it_is(rng, radius, causal):
    picture = rng.random((3, 32, 32), np.float32)
    small = rng.random((3, 8, 8), np.float32)
    given = items([[face(picture, small)] for _ in range(9)])
    for item in run(Smoother(NUMPY, radius, causal=causal), given):
        assert np.abs(item.faces[0].enhanced.image - picture).max() < 1e-6


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_frames_come_late_by_the_lookahead_and_in_order(radius):
    smoother = Smoother(NUMPY, radius)
    assert smoother.lookahead == radius
    seen = []
    for number, item in enumerate(items([[face(grey(0.5))]] * 10)):
        seen += [done.frame.pts for done in smoother.push(item)]
        assert seen == list(range(max(0, number + 1 - radius)))
    seen += [done.frame.pts for done in smoother.flush()]
    assert seen == list(range(10))
    assert smoother.flush() == []


def test_causal_smoothing_returns_each_frame_at_once():
    smoother = Smoother(NUMPY, 3, causal=True)
    assert smoother.lookahead == 0
    for item in items([[face(grey(0.5))]] * 10):
        (done,) = smoother.push(item)
        assert done.frame.pts == item.frame.pts
    assert smoother.flush() == []


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_flicker_falls_with_the_square_root_of_the_window(rng, radius):
    given = items([[face(noisy(rng))] for _ in range(12)])
    done = run(Smoother(NUMPY, radius), given)
    for item in done[radius:-radius]:
        left = float(item.faces[0].enhanced.image.std())
        assert left == pytest.approx(0.05 / np.sqrt(2 * radius + 1), rel=0.1)
    # At the ends the window is cut, but some neighbours are always there.
    assert float(done[0].faces[0].enhanced.image.std()) == pytest.approx(
        0.05 / np.sqrt(radius + 1), rel=0.1
    )


@pytest.mark.parametrize("radius", [1, 3])
def test_causal_smoothing_reduces_flicker_too(rng, radius):
    given = items([[face(noisy(rng))] for _ in range(12)])
    done = run(Smoother(NUMPY, radius, causal=True), given)
    for item in done[radius:]:
        left = float(item.faces[0].enhanced.image.std())
        assert left == pytest.approx(0.05 / np.sqrt(radius + 1), rel=0.1)
    assert np.array_equal(done[0].faces[0].enhanced.image, given[0].faces[0].enhanced.image)


@pytest.mark.parametrize("causal", [False, True])
def test_the_window_is_as_wide_as_declared_and_no_wider(causal):
    """An impulse shows which frames take part in which."""
    radius, at = 2, 5
    pictures = [[face(grey(1.0 if number == at else 0.0))] for number in range(11)]
    done = run(Smoother(NUMPY, radius, causal=causal), items(pictures))
    found = [float(item.faces[0].enhanced.image.mean()) for item in done]
    size = radius + 1 if causal else 2 * radius + 1
    first = at if causal else at - radius
    expected = [1 / size if first <= number <= at + radius else 0 for number in range(11)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_smoothing_averages_what_came_in_and_not_what_went_out():
    """There is no feedback, so an old frame has no influence beyond its window."""
    pictures = [[face(grey(float(number)))] for number in range(9)]
    done = run(Smoother(NUMPY, 1), items(pictures))
    found = [float(item.faces[0].enhanced.image.mean()) for item in done]
    assert found == pytest.approx([0.5, *range(1, 8), 7.5], abs=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_the_window_never_crosses_a_cut(causal):
    pictures = [[face(grey(0.2 if number < 4 else 0.8))] for number in range(8)]
    done = run(Smoother(NUMPY, 3, causal=causal), items(pictures, cuts={0, 4}))
    assert [item.frame.pts for item in done] == list(range(8))
    for number, item in enumerate(done):
        expected = 0.2 if number < 4 else 0.8
        assert item.faces[0].enhanced.image == pytest.approx(expected, abs=1e-6)


def test_a_cut_sends_out_everything_before_it():
    smoother = Smoother(NUMPY, 3)
    given = items([[face(grey(0.5))]] * 4, cuts={3})
    assert [smoother.push(item) for item in given[:3]] == [[], [], []]
    assert [item.frame.pts for item in smoother.push(given[3])] == [0, 1, 2]


@pytest.mark.parametrize("causal", [False, True])
def test_people_are_not_mixed(causal):
    pictures = [
        [face(grey(0.2), track=1), face(grey(0.8), track=2)][:: 1 if number % 2 else -1]
        for number in range(6)
    ]
    for item in run(Smoother(NUMPY, 2, causal=causal), items(pictures)):
        for found in item.faces:
            expected = 0.2 if found.track == 1 else 0.8
            assert found.enhanced.image == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_a_new_crop_size_fades_in(causal):
    """Pictures at both sizes are averaged, so the change takes as long as the window."""
    pictures = [[face(grey(0.2, 32) if number < 4 else grey(0.8, 64))] for number in range(8)]
    done = run(Smoother(NUMPY, 2, causal=causal), items(pictures))
    sizes = [item.faces[0].enhanced.size for item in done]
    assert sizes == [32] * 4 + [64] * 4
    found = [float(item.faces[0].enhanced.image.mean()) for item in done]
    shares = (
        [0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1] if causal else [0, 0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1]
    )
    assert found == pytest.approx([0.2 + 0.6 * share for share in shares], abs=1e-5)


@pytest.mark.parametrize(("gap", "mixed"), [(0.05, True), (0.1, True), (0.25, False), (2.0, False)])
def test_frames_far_apart_in_time_are_not_mixed(gap, mixed):
    times = [0, round(1000 * gap)]
    given = [
        tracked(replace(FRAME, pts=pts, time_base=Fraction(1, 1000)), face(grey(value)))
        for pts, value in zip(times, (0.2, 0.8), strict=True)
    ]
    done = run(Smoother(NUMPY, 2), given)
    found = [float(item.faces[0].enhanced.image.mean()) for item in done]
    assert found == pytest.approx([0.5, 0.5] if mixed else [0.2, 0.8], abs=1e-5)


def test_a_moving_part_is_not_smeared_while_the_rest_is_smoothed(rng):
    """The lower right quarter changes from frame to frame, as a mouth does."""
    size = 64
    given, sharp = [], []
    for number in range(7):
        small = np.full((3, size // 4, size // 4), 0.5, np.float32)
        small[:, 8:, 8:] = 0.2 + 0.1 * number
        large = noisy(rng, 0.03, size)
        large[:, 32:, 32:] = 0.2 + 0.1 * number
        sharp.append(large)
        given.append([face(large, small)])
    done = run(Smoother(NUMPY, 2), items(given))
    for number in range(2, 5):
        found = done[number].faces[0].enhanced.image
        moving = (slice(None), slice(40, 64), slice(40, 64))  # clear of the border
        assert np.abs(found - sharp[number])[moving].max() < 1e-3
        still = (slice(None), slice(0, 24), slice(0, 24))
        assert found[still].std() < 0.55 * sharp[number][still].std()


def moving_face(count, speed, size=64):
    """Return sharp moving pictures of low contrast, (3, 4 * size, 4 * size)."""
    rng = np.random.default_rng(3)
    side = 4 * size
    fine, coarse = (
        cv2.GaussianBlur(rng.normal(0, 1, (3 * side, 3 * side)).astype(np.float32), (0, 0), sigma)
        for sigma in (2.5, 12.0)
    )
    picture = 0.5 + 0.03 * fine / fine.std() + 0.05 * coarse / coarse.std()
    shifts = [side + 4 * speed * number for number in range(count)]
    moved = [
        cv2.warpAffine(picture, np.array([[1.0, 0, -x], [0, 1, -side]]), (side, side))
        for x in shifts
    ]
    return [np.stack([one] * 3) for one in moved]


def shrunk(picture, factor=4):
    size = picture.shape[-1] // factor
    return np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_AREA) for c in picture])


def soft_noise(rng, sigma, shape):
    """Return noise (C, H, W) without the finest frequencies."""
    noise = [cv2.GaussianBlur(c, (0, 0), 1.0) for c in rng.normal(0, 1, shape)]
    return np.stack([sigma * channel / channel.std() for channel in noise]).astype(np.float32)


def distance(made, truth):
    inner = (slice(None), slice(48, -48), slice(48, -48))
    return float(np.sqrt(np.square(made - truth)[inner].mean()))


@pytest.mark.parametrize("speed", [0.25, 0.7])
@pytest.mark.parametrize("causal", [False, True])
def test_faint_texture_that_moves_is_followed(rng, speed, causal):
    """The contrast of skin is below the tolerance for motion."""
    truth = moving_face(9, speed)
    made = [picture + soft_noise(rng, 0.03, picture.shape) for picture in truth]
    given = items([[face(m, shrunk(t))] for m, t in zip(made, truth, strict=True)])
    done = run(Smoother(NUMPY, 2, causal=causal), given)
    smoothed = [item.faces[0].enhanced.image for item in done]
    before, after = (
        np.mean([distance(a, b) for a, b in list(zip(pictures, truth, strict=True))[2:-2]])
        for pictures in (made, smoothed)
    )
    assert after < (0.75 if causal else 0.65) * before
    # The texture keeps its contrast.
    gain = np.mean([s[:, 48:-48, 48:-48].std() for s in smoothed[2:-2]]) / truth[0].std()
    assert gain > 0.95


def test_a_moving_face_flickers_less_at_equal_sharpness_and_is_closer_to_the_truth(rng):
    truth = moving_face(9, 0.5)
    made = [picture + soft_noise(rng, 0.03, picture.shape) for picture in truth]
    given = items([[face(m, shrunk(t))] for m, t in zip(made, truth, strict=True)])
    smoothed = [item.faces[0].enhanced.image for item in run(Smoother(NUMPY, 2), given)]
    measurement = FlickerMeasurement("made")
    series = {"made": Steadiness(), "smoothed": Steadiness()}
    before = None
    for pictures in list(zip(truth, made, smoothed, strict=True))[2:-2]:
        true, *versions = (picture.transpose(1, 2, 0) for picture in pictures)
        flow = None if before is None else flow_between(before, true)
        measurement.push(series, dict(zip(series, versions, strict=True)), flow)
        before = true
    assert flicker_at_equal_sharpness(series["smoothed"], series["made"]) < 0.7
    raw, averaged = (
        np.mean([distance(p, t) for p, t in zip(each[2:-2], truth[2:-2], strict=True)])
        for each in (made, smoothed)
    )
    assert averaged < 0.7 * raw  # The PSNR rises by more than 3 dB.


@pytest.mark.parametrize("noise", [0.004, 0.015])
def test_on_a_still_face_flow_does_not_follow_noise(rng, noise):
    """The noise of a window of five falls by the root of five, as without flow."""
    (truth,) = moving_face(1, 0)
    made = [truth + rng.normal(0, 0.02, truth.shape).astype(np.float32) for _ in range(9)]
    small = shrunk(truth)
    seen = [small + soft_noise(rng, noise, small.shape) for _ in range(9)]
    given = items([[face(m, s)] for m, s in zip(made, seen, strict=True)])
    done = run(Smoother(NUMPY, 2), given)
    left = np.mean([distance(i.faces[0].enhanced.image, truth) for i in done[2:-2]])
    assert left < 1.1 * 0.02 / np.sqrt(5)


@pytest.mark.parametrize(("step", "least", "most"), [(0.002, 0.9, 1), (0.1, 0, 0.01)])
def test_weight_follows_the_likeness_of_the_consistent_crops(step, least, most):
    one = face(grey(0.0), np.full((3, 8, 8), 0.5, np.float32))
    other = face(grey(1.0), np.full((3, 8, 8), 0.5 + step, np.float32))
    smoothed = run(Smoother(NUMPY, 1), items([[one], [other]]))
    mean = float(smoothed[0].faces[0].enhanced.image.mean())
    weight = mean / (1 - mean)  # 1 w / (1 + w) is the mean
    assert least <= weight <= most


def test_smoothing_changes_the_enhanced_picture_only(rng):
    given = items([[face(noisy(rng)), make_face(skipped="too small")] for _ in range(4)])
    before = [item.faces[0].enhanced.image.copy() for item in given]
    done = run(Smoother(NUMPY, 1), given)
    for old, new, picture in zip(given, done, before, strict=True):
        assert new.faces[1] is old.faces[1]
        assert new.frame is old.frame
        assert new.faces[0].consistent is old.faces[0].consistent
        assert new.faces[0].enhanced.image.dtype == np.float32
        assert np.array_equal(old.faces[0].enhanced.image, picture)


def test_frames_without_faces_pass():
    done = run(Smoother(NUMPY, 2), items([[], [face(grey(0.5))], [], [make_face()], []]))
    assert [len(item.faces) for item in done] == [0, 1, 0, 1, 0]


def test_reset_forgets():
    smoother = Smoother(NUMPY, 2)
    for item in items([[face(grey(0.0))]] * 3):
        smoother.push(item)
    smoother.reset()
    done = run(smoother, items([[face(grey(1.0))]] * 3))
    assert len(done) == 3
    for item in done:
        assert item.faces[0].enhanced.image == pytest.approx(1)


def test_as_many_frames_are_held_back_as_fit_into_the_limit(monkeypatch):
    monkeypatch.setattr("crsr_video.stages.base.HELD_BYTES", 80)
    stage = Smoother(NUMPY, radius=3)
    plain = flat_frame("gray", 8, 8, (0.5, 0.5, 0.5))
    sent = [tracked(replace(plain, pts=pts)) for pts in range(5)]
    numbers = [[item.frame.pts for item in stage.push(one)] for one in sent]
    assert numbers == [[], [0], [1], [2], [3]]
    assert [item.frame.pts for item in stage.flush()] == [4]


def test_frames_that_are_larger_than_the_limit_are_not_held_back(monkeypatch):
    monkeypatch.setattr("crsr_video.stages.base.HELD_BYTES", 60)
    stage = Smoother(NUMPY, radius=3)
    plain = flat_frame("gray", 8, 8, (0.5, 0.5, 0.5))
    sent = [tracked(replace(plain, pts=pts)) for pts in range(3)]
    assert [[item.frame.pts for item in stage.push(one)] for one in sent] == [[0], [1], [2]]
