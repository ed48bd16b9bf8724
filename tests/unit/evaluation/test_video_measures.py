from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from crsr_video.evaluation.models import Landmarks
from crsr_video.evaluation.video_measures import (
    FaceMeasurement,
    as_tensor,
    face_quality,
    flow_between,
)
from crsr_video.imaging.psnr import MAX_PSNR
from crsr_video.track.regions import Region

SIDE = 96


class Reader:
    """Stand-in that returns five landmarks around the brightest red of a picture."""

    shape = np.array([[-9.0, -6], [9, -6], [0, 2], [-6, 9], [6, 9]])

    def landmarks(self, picture, region=None):
        y, x = np.unravel_index(int(picture[0].argmax()), picture[0].shape)
        return Landmarks(self.shape + np.array([x, y]), region or Region(x, y, 40, 40))


def brightness(pictures):
    """Return an embedding made of the pictures' mean colours."""
    return pictures.mean((2, 3)).double().numpy()


def texture(seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fine = cv2.GaussianBlur(rng.random((160, 160, 3), np.float32), (0, 0), 1.5)
    coarse = cv2.GaussianBlur(rng.random((160, 160, 3), np.float32), (0, 0), 6)
    return np.clip(0.5 + 1.5 * (fine - 0.5) + 4 * (coarse - 0.5), 0, 1)


def moving(frames: int = 10, step: float = 1.3) -> list[np.ndarray]:
    """Return crops of one picture that drifts sideways."""
    still = texture()
    matrices = [np.array([[1, 0, -20 - step * t], [0, 1, -30 - 0.4 * t]]) for t in range(frames)]
    return [
        cv2.warpAffine(still, m, (SIDE, SIDE), flags=cv2.INTER_CUBIC).clip(0, 1) for m in matrices
    ]


def noisy(pictures, sigma=0.03, seed=5):
    rng = np.random.default_rng(seed)
    return [
        np.clip(p + sigma * rng.standard_normal(p.shape, np.float32), 0, 1).astype(np.float32)
        for p in pictures
    ]


def averaged(pictures):
    """Return the average of each picture with its neighbours, without any motion."""
    return [
        np.mean(pictures[max(0, t - 1) : t + 2], axis=0, dtype=np.float32)
        for t in range(len(pictures))
    ]


def measured(truth, **methods):
    meter = FaceMeasurement(Reader(), brightness, every=3)
    for index, picture in enumerate(truth):
        meter.push(picture, {name: made[index] for name, made in methods.items()})
    return meter


def test_the_truth_is_like_itself() -> None:
    truth = moving()
    meter = measured(truth, same=truth)
    same = meter.series["same"]
    assert same.psnr == pytest.approx([MAX_PSNR] * 10)
    assert same.ssim == pytest.approx([1.0] * 10)
    assert same.motion == [0.0] * 9
    assert same.identity == pytest.approx([1.0] * 4)
    assert same.change == meter.truth.change and len(same.change) == 9


def test_motion_is_no_flicker() -> None:
    truth = moving()
    change = np.mean(measured(truth, same=truth).truth.change)
    plain = np.mean([np.abs(b - a).mean() for a, b in pairwise(truth)])
    assert change < 0.15 * plain


def test_noise_over_time_flickers_and_averaging_calms_it() -> None:
    truth = moving(step=0.0)
    rough = noisy(truth)
    meter = measured(truth, rough=rough, calm=averaged(rough))
    change = {name: np.mean(series.change) for name, series in meter.series.items()}
    assert change["rough"] > 4 * np.mean(meter.truth.change)
    # Of independent noise, the mean of three has 1.15 / 1.41 of what is left between neighbours...
    assert change["calm"] < 0.7 * change["rough"]
    # ... and here, where nothing moves, averaging is all gain.
    assert np.mean(meter.series["calm"].psnr) > np.mean(meter.series["rough"].psnr) + 3


def test_smearing_a_moving_face_calms_it_and_costs_face_quality() -> None:
    truth = moving(step=3.0)
    rough = noisy(truth, 0.01)
    meter = measured(truth, rough=rough, smeared=averaged(rough))
    rough, smeared = meter.series["rough"], meter.series["smeared"]
    assert np.mean(smeared.change[1:-1]) < np.mean(rough.change[1:-1])
    assert np.mean(smeared.psnr) < np.mean(rough.psnr) - 5
    assert np.mean(smeared.ssim) < np.mean(rough.ssim)


def test_jitter_of_landmarks_is_distinguished_from_motion() -> None:
    truth = [np.full((SIDE, SIDE, 3), 0.2, np.float32) for _ in range(6)]
    shaky = [picture.copy() for picture in truth]
    for t in range(6):
        truth[t][40, 30 + t, 0] = 1.0
        shaky[t][50, 30 + t + 3 * (t % 2), 0] = 1.0
    meter = measured(truth, steady=truth, shaky=shaky)
    assert meter.series["steady"].motion == [0.0] * 5
    # Three pixels to and fro; the eyes are 18 apart.
    assert meter.series["shaky"].motion == pytest.approx([3 / 18] * 5)


def test_identity_is_the_cosine_to_the_truth() -> None:
    truth = [np.full((SIDE, SIDE, 3), 0.5, np.float32)] * 4
    red = [p * np.array([1, 0, 0], np.float32) for p in truth]
    assert measured(truth, red=red).series["red"].identity == pytest.approx([3**-0.5] * 2)


def test_without_an_embedder_identity_is_left_out() -> None:
    meter = FaceMeasurement(Reader(), None)
    meter.push(moving(1)[0], {"a": moving(1)[0]})
    assert meter.series["a"].identity == []


def test_a_face_that_was_away_is_not_compared_with_before() -> None:
    truth = moving(4)
    meter = FaceMeasurement(Reader(), None)
    for index, picture in enumerate(truth):
        if index == 2:
            meter.skip()
        meter.push(picture, {"a": picture})
    assert len(meter.series["a"].psnr) == 4
    assert len(meter.series["a"].change) == len(meter.series["a"].motion) == 2


def test_flow_follows_the_picture() -> None:
    a, b = moving(2, step=2.5)
    flow = flow_between(a, b)
    assert flow is not None
    columns = np.arange(SIDE, dtype=np.float32)[None, :]
    assert np.median((flow.motion.x - columns)[flow.trusted]) == pytest.approx(2.5, abs=0.2)


def test_two_different_pictures_have_no_flow() -> None:
    one, other = (texture(seed)[:SIDE, :SIDE] for seed in (1, 2))
    flow = flow_between(one, other)
    assert flow is None or flow.trusted.mean() < 0.15


def test_face_quality_looks_at_the_face_only() -> None:
    truth = moving(1)[0]
    made = truth.copy()
    made[:20] = 0
    made[:, :15] = 0
    assert face_quality(made, truth) == pytest.approx((MAX_PSNR, 1.0))
    made[60, 40] += 0.3
    assert face_quality(made, truth)[0] < 50


def test_a_crop_becomes_a_tensor() -> None:
    picture = moving(1)[0]
    tensor = as_tensor(picture)
    assert tensor.shape == (1, 3, SIDE, SIDE)
    assert torch.equal(tensor[0, 1], torch.from_numpy(np.ascontiguousarray(picture[..., 1])))
