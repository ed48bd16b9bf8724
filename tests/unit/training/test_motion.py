import numpy as np
import torch

from crsr_video.training.motion import (
    Liveliness,
    by_torch,
    displacement,
    moving,
    wander,
    warped,
)

QUIET = Liveliness(still=0, jitter=0, drift=0, turn=0, zoom=0, elastic=0, brightness=0, flicker=0)


def pictures(side: int = 64, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(count, 3, 9, 9, generator=generator) * 0.6 + 0.2
    return torch.nn.functional.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 1)


def test_clips_have_the_right_shape_and_repeat_by_seed() -> None:
    first, again, other = (moving(pictures(), 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, 5, 3, 64, 64) and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_still_is_its_picture_and_so_is_a_clip_without_any_motion() -> None:
    faces = pictures()
    still = moving(faces, 4, np.random.default_rng(0), amount=Liveliness(still=1))
    assert torch.equal(still, faces[:, None].expand_as(still))
    quiet = moving(faces, 4, np.random.default_rng(0), amount=QUIET)
    assert torch.allclose(quiet, still, atol=2e-3)


def test_the_share_of_stills_is_as_asked() -> None:
    clips = moving(pictures(16, 1).expand(200, 3, 16, 16), 2, np.random.default_rng(0))
    unmoved = (clips[:, 0] == clips[:, 1]).flatten(1).all(1).float().mean()
    assert 0.06 < unmoved < 0.2


def test_the_input_is_left_alone() -> None:
    faces = pictures()
    before = faces.clone()
    moving(faces, 3, np.random.default_rng(0))
    assert torch.equal(faces, before)


def test_motion_is_small_and_smooth_but_for_the_jitter() -> None:
    smooth = Liveliness(jitter=0)
    for seed in range(8):
        field = displacement(128, 12, np.random.default_rng(seed), smooth)
        assert field.abs().max() < 0.08 * 128
        pace = field.diff(dim=0).abs().max()
        change = field.diff(dim=0).diff(dim=0).abs().max()
        assert pace < 0.03 * 128 and change < 0.03 * 128
        # Neighbours stay neighbours: nothing folds over.
        assert field[:, 0].diff(dim=1).min() > -0.8 and field[:, 1].diff(dim=2).min() > -0.8


def test_the_jitter_is_as_large_as_asked_and_alike_all_over_the_frame() -> None:
    amount = Liveliness(jitter=0.01, drift=0, turn=0, zoom=0, elastic=0)
    field = displacement(32, 400, np.random.default_rng(0), amount)
    assert abs(field[:, :, 5, 5].std() / (0.01 * 32) - 1) < 0.1
    assert torch.allclose(field[..., 0, 0], field[..., 31, 17], atol=1e-5)


def test_light_drifts_when_asked() -> None:
    amount = Liveliness(
        still=0, jitter=0, drift=0, turn=0, zoom=0, elastic=0, brightness=0.5, flicker=1
    )
    means = moving(pictures(), 6, np.random.default_rng(0), amount=amount).mean((2, 3, 4))
    assert 0.005 < (means[:, 1:] / means[:, :-1] - 1).abs().max() < 0.5


def test_warping_fetches_from_where_the_field_says() -> None:
    picture = pictures()[0]
    field = torch.zeros(2, 2, 64, 64)
    field[0, 0], field[1, 1] = 3.0, -2.0
    down, left = warped(picture, field)
    assert torch.allclose(down[:, :-3], picture[:, 3:], atol=1e-5)
    assert torch.allclose(left[..., 2:], picture[..., :-2], atol=1e-5)


def test_both_resamplers_agree() -> None:
    picture = pictures()[0]
    field = displacement(64, 3, np.random.default_rng(0), Liveliness())
    pixels = torch.arange(64.0)
    direct = by_torch(picture, field[:, 1] + pixels, field[:, 0] + pixels[:, None])
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert torch.allclose(warped(picture, field)[inner], direct[inner], atol=6e-3)


def test_targets_stay_sharp() -> None:
    generator = torch.Generator().manual_seed(0)
    fine = torch.rand(1, 3, 64, 64, generator=generator)
    fine = torch.nn.functional.avg_pool2d(fine, 3, 1, 1)
    amount = Liveliness(still=0, flicker=0)
    clip = moving(fine, 6, np.random.default_rng(0), amount=amount)[0]
    inner = (..., slice(6, -6), slice(6, -6))
    assert (clip[inner].std((1, 2, 3)) > 0.8 * fine[inner].std()).all()


def test_curves_stay_within_one() -> None:
    curves = wander(50, np.random.default_rng(0), 20)
    assert curves.shape == (20, 50) and np.abs(curves).max() <= 1
    assert wander(7, np.random.default_rng(0)).shape == (7,)
