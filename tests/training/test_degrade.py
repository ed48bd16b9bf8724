import numpy as np
import pytest
import torch

from crsr_video.training.codec import intra_frames, jpeg
from crsr_video.training.degrade import Spoiling, clean, degrade, draw, film, motion_kernel


def hr(side: int = 128, count: int = 4) -> torch.Tensor:
    """Smooth random pictures with sharp edges."""
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(count, 3, 6, 6, generator=generator) * 0.6 + 0.2
    picture = torch.nn.functional.interpolate(small, size=(side, side), mode="bicubic")
    picture[:, :, side // 2 : side // 2 + 8] *= 0.5
    return picture.clamp(0, 1)


def test_clean_keeps_constants_and_means() -> None:
    assert torch.allclose(clean(torch.full((1, 3, 64, 64), 0.3)), torch.tensor(0.3), atol=1e-6)
    assert clean(hr()).shape == (4, 3, 32, 32)
    assert torch.allclose(clean(hr()).mean(), hr().mean(), atol=2e-3)


def test_clean_removes_what_the_small_picture_cannot_hold() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(64).expand(1, 3, 128, 128)
    middle = clean(stripes)[..., 4:-4, 4:-4]
    assert torch.allclose(middle, torch.tensor(0.5), atol=0.02)


@pytest.mark.parametrize("video", [0.0, 1.0])
def test_degrade_is_of_the_right_shape_and_range(video: float) -> None:
    spoilt = degrade(hr(), np.random.default_rng(0), video=video)
    assert spoilt.shape == (4, 3, 32, 32) and spoilt.dtype == torch.float32
    assert spoilt.min() >= 0 and spoilt.max() <= 1


@pytest.mark.parametrize("video", [0.0, 1.0])
def test_degrade_repeats_by_seed(video: float) -> None:
    first, again, other = (
        degrade(hr(), np.random.default_rng(seed), video=video) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("video", [0.0, 1.0])
def test_degrade_keeps_the_mean_colour(video: float) -> None:
    truth = clean(hr(count=8)).mean((2, 3))
    rngs = [np.random.default_rng(seed) for seed in range(8)]
    spoilt = [degrade(hr(count=8), rng, video=video).mean((2, 3)) for rng in rngs]
    difference = torch.stack(spoilt) - truth
    # A coarse codec may shift the colour of one picture, but nothing shifts them all.
    assert difference.abs().max() < 0.06
    assert difference.mean((0, 1)).abs().max() < 0.01


def test_degrade_leaves_its_input_alone() -> None:
    picture = hr()
    before = picture.clone()
    degrade(picture, np.random.default_rng(0))
    assert torch.equal(picture, before)


def test_one_in_four_is_nearly_clean() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(rng) for _ in range(400)]
    light = [s for s in drawn if s.quality >= 90 and s.native >= 0.9 and s.shot_noise == 0]
    assert 0.2 < len(light) / len(drawn) < 0.32
    assert min(s.native for s in drawn) >= 0.5 and max(s.native for s in drawn) <= 1.3
    assert min(s.quality for s in drawn) >= 20


def test_noise_is_as_strong_as_asked() -> None:
    still = Spoiling(0.0, 0.0, 0.0, 1.0, 4 / 255, 6 / 255, 90)
    grey = np.full((256, 256, 3), 0.5, np.float32)
    filmed = film(grey, still, 64, np.random.default_rng(0))
    expected = np.sqrt((4 / 255) ** 2 + 0.5 * (6 / 255) ** 2)
    assert filmed.std() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
def test_motion_kernel_is_a_centred_line(angle: float) -> None:
    kernel = motion_kernel(9.0, angle)
    assert kernel.sum() == pytest.approx(1.0)
    rows, columns = np.indices(kernel.shape)
    assert (kernel * rows).sum() == pytest.approx(kernel.shape[0] // 2, abs=1e-4)
    assert (kernel * columns).sum() == pytest.approx(kernel.shape[1] // 2, abs=1e-4)


def test_coders_return_nearly_what_they_got_at_good_quality() -> None:
    picture = hr(64, 1)[0].permute(1, 2, 0).numpy().copy()
    assert np.abs(jpeg(picture, 95, (3, 5)) - picture).mean() < 0.02
    odd = [picture[:51, :51], picture[10:61, :51]]
    for coded, original in zip(intra_frames(odd, 10), odd, strict=True):
        assert coded.shape == original.shape
        assert np.abs(coded - original).mean() < 0.02


def test_lower_quality_costs_likeness() -> None:
    picture = hr(64, 1)[0].permute(1, 2, 0).numpy().copy()
    picture += np.random.default_rng(0).normal(0, 0.05, picture.shape).astype(np.float32)

    def error(coded: np.ndarray) -> float:
        return float(np.abs(coded - picture).mean())

    assert error(jpeg(picture, 20)) > error(jpeg(picture, 90))
    assert error(intra_frames([picture], 38)[0]) > error(intra_frames([picture], 20)[0])
