from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.training.codec import CODECS
from crsr_video.training.degradations import (
    EXTRA_KINDS,
    MAX_SPEED_PX,
    Compression,
    Degradation,
    draw_compression,
    draw_degradation,
    with_extra,
)
from crsr_video.training.degrade import (
    apply,
    clean,
    compress_video,
    degrade,
)

NEARLY_LOSSLESS = {"h264": 2, "hevc": 2, "mpeg2": 1, "mpeg4": 1, "vp9": 2}
PERFECT = Degradation(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 99)


def hr(side: int = 128, count: int = 4) -> torch.Tensor:
    """Return smooth random pictures with sharp edges."""
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(count, 3, 6, 6, generator=generator) * 0.6 + 0.2
    picture = torch.nn.functional.interpolate(small, size=(side, side), mode="bicubic")
    picture[:, :, side // 2 : side // 2 + 8] *= 0.5
    return picture.clamp(0, 1)


def test_clean_keeps_constants_and_means() -> None:
    assert torch.allclose(clean(torch.full((1, 3, 64, 64), 0.3)), torch.tensor(0.3), atol=1e-6)
    assert clean(hr()).shape == (4, 3, 32, 32)
    assert torch.allclose(clean(hr()).mean(), hr().mean(), atol=2e-3)


@pytest.mark.parametrize("factor", [1, 2])
def test_pictures_are_degraded_at_every_factor(factor: int) -> None:
    small = degrade(hr(), np.random.default_rng(1), video=1.0, factor=factor)
    assert small.shape == (4, 3, 128 // factor, 128 // factor)
    assert torch.allclose(small.mean(), hr().mean(), atol=0.02)
    assert clean(hr(), factor).shape == small.shape
    assert torch.allclose(clean(hr(), 1), hr(), atol=1e-6)


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
    drawn = [draw_degradation(rng) for _ in range(400)]
    light = [s for s in drawn if s.quality >= 90 and s.native_scale >= 0.9 and s.shot_noise == 0]
    assert 0.2 < len(light) / len(drawn) < 0.32
    assert min(s.native_scale for s in drawn) >= 0.5 and max(s.native_scale for s in drawn) <= 1.3
    assert min(s.quality for s in drawn) >= 20


def test_drawn_codecs_cover_all_and_stay_in_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_compression(rng) for _ in range(300)]
    assert {c.codec.encoder for c in drawn} == {c.encoder for c in CODECS.values()}
    assert all(c.codec.good <= c.quantiser <= c.codec.bad for c in drawn)
    assert 0 <= min(draw_degradation(rng).speed for _ in range(99)) <= MAX_SPEED_PX


def luma(picture: torch.Tensor) -> torch.Tensor:
    """Return softened luma (H, W), so that aliases of edges do not count as shifts."""
    grey = (picture * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    return torch.nn.functional.avg_pool2d(grey[None], 5, 1, 2)[0]


def shift(picture: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the shift of a picture in pixels, by least squares on its gradients."""
    inner = (slice(4, -4), slice(4, -4))
    y, x = (g[inner].flatten() for g in torch.gradient(luma(truth)))
    difference = (luma(picture) - luma(truth))[inner].flatten()
    return float(torch.linalg.lstsq(torch.stack([y, x], 1), difference[:, None]).solution.norm())


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("native", [0.7, 1.0, 1.25])
def test_faces_that_move_in_their_video_stay_where_the_truth_is(name: str, native: float) -> None:
    pictures = hr(count=3)
    cameras = [
        replace(PERFECT, native_scale=native, speed=speed, angle=2 * speed)
        for speed in (0.4, 1.3, 3.0)
    ]
    for seed in range(2):
        coding = Compression(CODECS[name], NEARLY_LOSSLESS[name], has_b_frames=seed == 1)
        seen = apply(pictures, cameras, coding, np.random.default_rng(seed))
        pairs = list(zip(seen, clean(pictures), strict=True))
        # A coder may leave a slow face where it was in one picture, but none shifts them all.
        assert np.mean([shift(picture, truth) for picture, truth in pairs]) < 0.05
        assert all((picture - truth).abs().mean() < 0.02 for picture, truth in pairs)


def test_stills_stay_where_the_truth_is() -> None:
    pictures = hr(count=3)
    cameras = [
        replace(PERFECT, native_scale=native, motion=4.0, angle=0.5) for native in (0.6, 1, 1.3)
    ]
    seen = apply(pictures, cameras, None, np.random.default_rng(0))
    for picture, truth in zip(seen, clean(pictures), strict=True):
        assert shift(picture, truth) < 0.05


def test_neighbours_in_the_mosaic_do_not_bleed_into_each_other() -> None:
    cells = hr(64, 5)[:, None].repeat(1, 3, 1, 1, 1)
    changed = cells.clone()
    changed[1:] = 1 - changed[1:]
    coding = Compression(CODECS["mpeg2"], 6)
    first, second = (compress_video(c, [PERFECT] * 5, coding)[0] for c in (cells, changed))
    assert (first - second)[..., 4:-4, 4:-4].abs().mean() < 0.004


def test_light_pictures_are_spared_the_video_codec() -> None:
    pictures = hr(count=2)
    cameras = [replace(PERFECT, is_light=True), PERFECT]
    name, codec = next(iter(CODECS.items()))
    assert name == "h264"
    seen = apply(pictures, cameras, Compression(codec, 50), np.random.default_rng(0))
    spared, spoiled = (seen - clean(pictures)).abs().mean((1, 2, 3))
    assert 2 * spared < spoiled


def test_later_frames_are_predicted_from_earlier_ones() -> None:
    # At a very low rate a predicted frame keeps what it cannot afford to change.
    first, second = hr(64, count=2)
    weak = first + 0.03 * (second - first)
    clip = torch.stack([first, first, weak])[None]
    coding = Compression(CODECS["h264"], 40)
    seen = compress_video(clip, [PERFECT], coding)[0]
    alone = compress_video(clip[:, 2:], [PERFECT], coding)[0]
    assert (seen[2] - seen[1]).abs().mean() < (alone[0] - seen[1]).abs().mean()


@pytest.mark.parametrize("kind", EXTRA_KINDS)
def test_every_extra_kind_changes_the_picture_and_keeps_its_mean(kind: str) -> None:
    pictures, rng = hr(count=6), np.random.default_rng(2)
    cameras = [with_extra(PERFECT, kind, rng) for _ in pictures]
    seen = apply(pictures, cameras, None, np.random.default_rng(0))
    plain = apply(pictures, [PERFECT] * 6, None, np.random.default_rng(0))
    assert seen.min() >= 0 and seen.max() <= 1
    assert ((seen - plain).abs().mean((1, 2, 3)) > 0.004).all()
    assert (seen.mean((2, 3)) - plain.mean((2, 3))).abs().max() < 0.04


def test_sharpening_overshoots_at_edges() -> None:
    picture = torch.full((1, 3, 128, 128), 0.3)
    picture[..., 64:] = 0.6
    for place in ("sharpen_before", "sharpen_after"):
        camera = replace(PERFECT, **{place: 1.5})
        seen = apply(picture, [camera], None, np.random.default_rng(0))
        assert seen.max() > 0.65 and seen.min() < 0.25


def test_combing_moves_every_second_row_sideways() -> None:
    ramp = torch.linspace(0.2, 0.8, 128).expand(1, 3, 128, 128)

    def roughness(comb: float, seed: int) -> float:
        camera = replace(PERFECT, comb=comb)
        seen = apply(ramp, [camera], None, np.random.default_rng(seed))[0, 0, 8:-8, 8:-8]
        return float((seen[1:] - seen[:-1]).abs().mean())

    # Three of 32 pixels of a ramp of 0.6 are 0.056; between two rows there is less of it.
    assert max(roughness(3.0, seed) for seed in range(8)) > 0.03
    assert max(roughness(0.0, seed) for seed in range(8)) < 0.01


def test_a_second_codec_at_another_size_softens() -> None:
    pictures = hr(count=2)
    once = Compression(CODECS["h264"], 2)
    twice = replace(once, rescale=0.5, second=once)
    sharp, soft = (
        apply(pictures, [PERFECT] * 2, coding, np.random.default_rng(0)) for coding in (once, twice)
    )
    assert sharp.shape == soft.shape
    assert soft.diff(dim=-1).abs().mean() < 0.9 * sharp.diff(dim=-1).abs().mean()


def test_without_extras_draws_are_those_of_before() -> None:
    with_none = [draw_degradation(np.random.default_rng(seed), 0.0) for seed in range(20)]
    assert with_none == [draw_degradation(np.random.default_rng(seed)) for seed in range(20)]
    extra = [draw_degradation(np.random.default_rng(seed), 1.0) for seed in range(60)]
    assert any(s.sharpen_before or s.sharpen_after for s in extra) and any(s.comb for s in extra)
    assert any(s.chroma_noise for s in extra) and any(s.bend for s in extra)


def test_blur_in_linear_light_keeps_highlights_bright() -> None:
    picture = torch.zeros(1, 3, 128, 128)
    picture[..., ::16] = 1  # thin white lines
    camera = replace(PERFECT, defocus=4.0)
    encoded, linear = (
        apply(picture, [replace(camera, is_linear=is_linear)], None, np.random.default_rng(0))
        for is_linear in (False, True)
    )
    # 1/16 of white light has a code of 0.22, and 1/16 of the white code is 0.06.
    assert encoded.mean() == pytest.approx(1 / 16, abs=0.02)
    assert linear.mean() == pytest.approx(0.22, abs=0.03)


def test_noise_in_linear_light_is_stronger_in_the_dark() -> None:
    picture = torch.full((1, 3, 128, 128), 0.1)
    picture[..., 64:] = 0.9
    camera = replace(PERFECT, read_noise=0.03, quality=100, is_linear=True)
    seen = apply(picture, [camera], None, np.random.default_rng(0))
    assert seen[..., :14].std() > 3 * seen[..., -14:].std()


@pytest.mark.parametrize("name", CODECS)
def test_frames_far_from_the_key_frame_stay_where_the_truth_is(name: str) -> None:
    pictures = hr(count=2)
    cameras = [replace(PERFECT, speed=2.0, angle=angle) for angle in (0.5, 2.0)]
    coding = Compression(CODECS[name], NEARLY_LOSSLESS[name], depth=20)
    seen = apply(pictures, cameras, coding, np.random.default_rng(0))
    assert all((s - c).abs().mean() < 0.02 for s, c in zip(seen, clean(pictures), strict=True))


def test_a_cut_at_a_limited_bit_rate_costs_quality() -> None:
    pictures = hr(count=2)
    errors = [
        float(
            (
                apply(
                    pictures,
                    [PERFECT] * 2,
                    Compression(CODECS["h264"], 0, bits_per_pixel=bits),
                    np.random.default_rng(0),
                )
                - clean(pictures)
            )
            .abs()
            .mean()
        )
        for bits in (0.1, 0.4, 6.0)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02
