"""Flicker and sharpness of versions of one face."""

import cv2
import numpy as np
import pytest

from crsr_video.evaluation.video_measures import (
    FlickerMeasurement,
    Steadiness,
    flicker,
    flicker_at_equal_sharpness,
    flow_between,
)

SIDE = 96


def texture():
    rng = np.random.default_rng(3)
    fine = cv2.GaussianBlur(rng.random((160, 160, 3), np.float32), (0, 0), 1.5)
    coarse = cv2.GaussianBlur(rng.random((160, 160, 3), np.float32), (0, 0), 6)
    return np.clip(0.5 + 1.5 * (fine - 0.5) + 4 * (coarse - 0.5), 0, 1)


def moving(frames=10):
    still = texture()
    return [
        cv2.warpAffine(still, np.array([[1, 0, -20 - 1.3 * t], [0, 1, -30]]), (SIDE, SIDE))
        for t in range(frames)
    ]


def noisy(pictures, sigma):
    rng = np.random.default_rng(5)
    return [p + sigma * rng.standard_normal(p.shape, np.float32) for p in pictures]


def sharpened(pictures, amount):
    return [p + amount * (p - cv2.GaussianBlur(p, (0, 0), SIDE / 64)) for p in pictures]


def measured(**versions):
    """Return measures of several versions, the first of which is the reference."""
    meter = FlickerMeasurement(next(iter(versions)))
    series = {name: Steadiness() for name in versions}
    before = None
    for crops in zip(*versions.values(), strict=True):
        flow = flow_between(before, crops[0]) if before is not None else None
        meter.push(series, dict(zip(versions, crops, strict=True)), flow)
        before = crops[0]
    return series


def test_a_copy_has_the_flicker_and_the_sharpness_of_its_source():
    found = measured(source=moving(), copy=moving())
    assert flicker(found["copy"], found["source"]) == 1
    assert flicker_at_equal_sharpness(found["copy"], found["source"]) == 1
    assert found["copy"].gain(found["source"]) == 1


def test_noise_over_time_is_flicker():
    found = measured(source=noisy(moving(), 0.004), noisy=noisy(moving(), 0.03))
    assert flicker(found["noisy"], found["source"]) > 2


@pytest.mark.parametrize("amount", [-0.4, 0.5, 1.0])
def test_at_equal_sharpness_a_sharpened_copy_flickers_about_like_its_source(amount):
    source = noisy(moving(), 0.02)
    found = measured(source=source, sharp=sharpened(source, amount))
    assert found["sharp"].gain(found["source"]) == pytest.approx(1 + 0.75 * amount, abs=0.15)
    excess = abs(flicker(found["sharp"], found["source"]) - 1)
    equal = abs(flicker_at_equal_sharpness(found["sharp"], found["source"]) - 1)
    assert excess > 0.15
    assert equal < 0.5 * excess


def test_an_unknown_motion_leaves_a_gap():
    meter = FlickerMeasurement("a")
    series = {"a": Steadiness()}
    pictures = moving(4)
    for number, picture in enumerate(pictures):
        known = number in (1, 3)
        flow = flow_between(pictures[number - 1], picture) if known else None
        meter.push(series, {"a": picture}, flow)
    assert (len(series["a"].detail), len(series["a"].change)) == (4, 2)
