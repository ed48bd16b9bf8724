from dataclasses import replace

import numpy as np
import pytest

from crsr_video.errors import TrainingError
from crsr_video.training.codec import CODECS, KNOWN, compress, jpeg


def picture(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    """Return smooth waves with a sharp edge; float32 (height, width, 3) in [0, 1]."""
    y, x = np.mgrid[:height, :width] / 10.0
    phase = np.random.default_rng(seed).uniform(0, 6, (3, 1, 1))
    waves = 0.5 + 0.25 * np.sin(x + phase) * np.cos(0.7 * y + phase)
    waves[:, height // 2 :, width // 3 : width // 2] *= 0.5
    return waves.transpose(1, 2, 0).astype(np.float32)


def clip(height: int = 64, width: int = 64) -> list[np.ndarray]:
    still = picture(height, width + 8)
    return [np.ascontiguousarray(still[:, k : k + width]) for k in range(5)]


def error(coded: list[np.ndarray], frames: list[np.ndarray]) -> float:
    return float(
        np.mean([np.abs(c / 255.0 - f).mean() for c, f in zip(coded, frames, strict=True)])
    )


def test_this_build_has_the_usual_codecs() -> None:
    assert {"h264", "mpeg2", "mpeg4"} <= set(CODECS) <= set(KNOWN)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_frames_return_in_order_and_odd_sizes_too(name: str, bidirectional: bool) -> None:
    codec, frames = CODECS[name], clip(67, 81)
    coded = compress(frames, codec, codec.good, has_b_frames=bidirectional)
    assert [c.shape for c in coded] == [f.shape for f in frames]
    assert coded[0].dtype == np.uint8
    assert error(coded, frames) < 0.03
    for number, one in enumerate(coded):
        distances = [np.abs(one / 255.0 - f).mean() for f in frames]
        assert np.argmin(distances) == number


@pytest.mark.parametrize("name", CODECS)
def test_lower_quality_costs_likeness(name: str) -> None:
    codec, frames = CODECS[name], clip()
    rng = np.random.default_rng(0)
    frames = [np.clip(f + rng.normal(0, 0.05, f.shape), 0, 1) for f in frames]
    errors = [
        error(compress(frames, codec, q), frames)
        for q in (codec.good, (codec.good + codec.bad) // 2, codec.bad)
    ]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    "colour", [(200, 30, 40), (20, 190, 220), (128, 128, 128), (240, 200, 170)]
)
def test_flat_colours_come_back(name: str, colour: tuple[int, int, int]) -> None:
    frames = [np.full((48, 48, 3), colour, np.uint8)] * 3
    for coded in compress(frames, CODECS[name], CODECS[name].good):
        assert np.abs(coded.astype(int) - colour).max() <= 2


@pytest.mark.parametrize("name", CODECS)
def test_chroma_stays_where_it_was(name: str) -> None:
    y, x = np.mgrid[:80, :80]
    chroma = 0.2 * np.sin(x / 9) * np.cos(y / 8)
    truth = (0.5 + chroma[..., None] * np.array([1.0, -0.4, 0.0])).astype(np.float32)
    coded = compress([truth] * 3, CODECS[name], 2)[2] / 255.0
    red = (picture[10:-10, 10:-10, 0] - 0.5 for picture in (coded, truth))
    first, second = red
    slopes = [g.ravel() for g in np.gradient(second)]
    offset = np.linalg.lstsq(np.stack(slopes, 1), (first - second).ravel(), rcond=None)[0]
    assert np.abs(offset).max() < 0.12


@pytest.mark.parametrize("side", [16, 32, 48])
def test_tiny_clips_do_not_upset_any_encoder(side: int) -> None:
    for codec in CODECS.values():
        assert compress(clip(side, side), codec, codec.bad)[4].shape == (side, side, 3)


def test_floats_and_bytes_are_the_same_picture() -> None:
    codec = CODECS["h264"]
    frames = clip()
    codes = [np.rint(f * 255).astype(np.uint8) for f in frames]
    for one, other in zip(compress(frames, codec, 30), compress(codes, codec, 30), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", CODECS)
def test_coders_are_silent_and_repeatable(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (compress(clip(), CODECS[name], 20, has_b_frames=True) for _ in range(2))
    assert np.array_equal(first, second)
    assert capfd.readouterr() == ("", "")


def test_refusals_and_losses_are_errors() -> None:
    with pytest.raises(TrainingError, match="libx264"):
        compress(clip(), replace(CODECS["h264"], options={"preset": "no such"}), 20)
    with pytest.raises(TrainingError, match="lost 5 frames"):
        compress(clip(), replace(CODECS["h264"], decoder="mpeg2video"), 20)


@pytest.mark.parametrize("name", CODECS)
def test_a_limited_rate_costs_quality_after_a_cut(name: str) -> None:
    still, other = clip()[0], clip()[0][::-1, ::-1]
    frames = [other] * 8 + [still] * 8
    coded = compress(frames, CODECS[name], 0, bits_per_pixel=0.2)
    errors = [np.abs(a / 255 - b).mean() for a, b in zip(coded, frames, strict=True)]
    assert errors[8] > 1.05 * errors[7]


def test_jpeg_returns_nearly_what_it_got() -> None:
    truth = picture(51, 61)
    coded = jpeg(truth, 95)
    assert coded.shape == truth.shape and coded.dtype == np.float32
    assert np.abs(coded - truth).mean() < 0.02
    assert np.abs(jpeg(truth, 15) - truth).mean() > np.abs(jpeg(truth, 90) - truth).mean()
