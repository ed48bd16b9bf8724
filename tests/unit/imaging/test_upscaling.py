from fractions import Fraction

import cv2
import numpy as np
import pytest

from crsr_video.errors import ConfigError
from crsr_video.imaging.upscaling import FILTERS, enlarge
from tests.support.frames import (
    ALL,
    LAYOUTS,
    clutter,
    flat_frame,
    frame_of,
    make_frame,
    plane_shapes,
    positions,
)


def by_opencv(picture, scale):
    """Upscaling method of a user."""
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def test_enlarging_by_one_is_the_same_frame(rng):
    frame = make_frame("yuv420p", 10, 12, rng)
    assert enlarge(frame, 1) is frame


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(24, 36), (25, 37)])
@pytest.mark.parametrize("upscaler", [*FILTERS, by_opencv], ids=["lanczos", "cubic", "function"])
def test_enlarged_planes_show_the_same_at_the_same_place(name, scale, size, upscaler):
    """Ramps of luma and chroma keep their places."""
    height, width = size
    layout = LAYOUTS[name]
    slope = 2**layout.bits / 4 / (height + width)
    planes = []
    for index, shape in enumerate(plane_shapes(layout, height, width)):
        x, y = positions(layout, index, shape)
        planes.append(2**layout.bits / 4 + slope * (x + 2 * y))
    frame = frame_of(layout, *planes, pts=9, sample_aspect=Fraction(4, 3))
    large = enlarge(frame, scale, upscaler)
    assert (large.width, large.height, large.pts) == (width * scale, height * scale, 9)
    assert large.layout == layout
    assert large.edited
    shapes = plane_shapes(layout, height * scale, width * scale)
    for index, (plane, shape) in enumerate(zip(large.components, shapes, strict=True)):
        assert plane.shape == shape
        assert plane.dtype == frame.components[index].dtype
        x, y = (np.asarray(v) for v in positions(layout, index, shape))
        x, y = (x + 0.5) / scale - 0.5, (y + 0.5) / scale - 0.5
        expected = 2**layout.bits / 4 + slope * (x + 2 * y)
        rx, ry = 3 << layout.x_shift, 3 << layout.y_shift
        inner = (x > rx) & (x < width - 1 - rx) & (y > ry) & (y < height - 1 - ry)
        error = np.abs(plane - expected)[inner].max()
        own = slope * ((1 << layout.x_shift) + 2 * (1 << layout.y_shift)) if index else slope * 3
        assert error < 0.08 * own + 1


def test_enlarging_does_not_wrap_around():
    # A cubic kernel overshoots at a step: what lies beyond the last code must not become the first.
    step = np.where(np.arange(16) < 8, 0, 255) * np.ones((16, 1))
    large = enlarge(frame_of("gray", step), 4).components[0].astype(int)
    assert (np.diff(large, axis=1) >= 0).all()
    assert large.min() == 0
    assert large.max() == 255


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("upscaler", [*FILTERS, by_opencv], ids=["lanczos", "cubic", "function"])
def test_a_spot_stays_at_its_place_to_a_fraction_of_a_pixel(scale, upscaler):
    """Edges coincide, so pixel x lies at x * scale + (scale - 1) / 2."""
    y, x = np.mgrid[:40, :60]
    spot = np.exp(-((x - 31) ** 2 + (y - 17) ** 2) / 2 / 2.0**2)
    large = enlarge(frame_of("gray", 40 + 180 * spot), scale, upscaler).components[0] - 40.0
    y, x = np.mgrid[: large.shape[0], : large.shape[1]]
    centre = (large * x).sum() / large.sum(), (large * y).sum() / large.sum()
    assert centre == pytest.approx([v * scale + (scale - 1) / 2 for v in (31, 17)], abs=0.03)


@pytest.mark.parametrize("scale", [2, 4])
def test_lanczos_is_nearer_to_the_truth_than_cubic_and_rings_less(scale, rng):
    truth = clutter((240, 320), rng)
    truth = cv2.GaussianBlur((truth > 0.55) * 160.0 + 40, (0, 0), 0.5 * scale)
    small = frame_of("gray", cv2.resize(truth, None, fx=1 / scale, fy=1 / scale, interpolation=3))
    errors, overshoots = {}, {}
    for name in FILTERS:
        large = enlarge(small, scale, name).components[0].astype(float)
        errors[name] = ((large - truth) ** 2).mean()
        overshoots[name] = [np.maximum(v, 0).mean() for v in (large - 200, 40 - large)]
    assert errors["lanczos"] < 0.95 * errors["cubic"]
    for ours, plain in zip(overshoots["lanczos"], overshoots["cubic"], strict=True):
        assert ours < 0.1 * plain


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("colour", [(0.5, 0.5, 0.5), (0.85, 0.62, 0.51)])
@pytest.mark.parametrize("upscaler", [*FILTERS, by_opencv], ids=["lanczos", "cubic", "function"])
def test_a_flat_frame_keeps_its_colour(name, colour, upscaler):
    frame = flat_frame(name, 24, 32, colour)
    large = enlarge(frame, 2, upscaler)
    for old, new in zip(frame.components, large.components, strict=True):
        assert np.abs(new.astype(int) - int(old[0, 0])).max() <= (1 if callable(upscaler) else 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda picture, _: picture, r"but returned float32 \(20, 30, 3\)"),
        (lambda *_: np.zeros((40, 60, 3)), "float64"),
    ],
)
def test_a_function_that_breaks_the_contract_is_told_so(wrong, words, rng):
    with pytest.raises(ConfigError, match=words):
        enlarge(make_frame("yuv420p", 20, 30, rng), 2, wrong)


def test_an_unknown_name_is_refused(rng):
    with pytest.raises(ConfigError, match="no upscaler 'magic', only lanczos, cubic"):
        enlarge(make_frame("gray", 20, 30, rng), 2, "magic")
