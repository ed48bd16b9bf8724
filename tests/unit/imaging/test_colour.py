from dataclasses import replace

import numpy as np
import pytest

from crsr_video.imaging.colour import MATRICES, codes_from_rgb, delta_to_codes, matrix_name, to_rgb
from crsr_video.types import PixelLayout
from tests.support.frames import ALL, LAYOUTS, codes_of

YUV8 = PixelLayout("yuv444p", "yuv", 8)


def code_slack(layout):
    """Return the tolerance in codes: float32 has 24 bits, so 16-bit codes have fewer decimals."""
    return max(1e-3, 2**layout.bits * 1e-6)


def every_yuv():
    return [
        replace(YUV8, matrix=matrix, full_range=full, bits=bits)
        for matrix in MATRICES
        for full in (False, True)
        for bits in (8, 10, 12, 16)
    ]


@pytest.mark.parametrize("layout", every_yuv(), ids=lambda x: f"{x.matrix}-{x.full_range}-{x.bits}")
def test_agrees_with_the_definitions_and_back(layout, rng):
    colours = [*np.ndindex(2, 2, 2), *rng.uniform(0, 1, (20, 3))]
    codes = np.array([codes_of(c, layout) for c in colours], np.float32)
    rgb = to_rgb(codes, layout)
    assert rgb.dtype == np.float32
    assert np.abs(rgb - np.array(colours)).max() < 1e-5
    back = delta_to_codes(rgb, layout) + np.array(codes_of((0, 0, 0), layout), np.float32)
    assert np.abs(back - codes).max() <= code_slack(layout)


@pytest.mark.parametrize(
    ("matrix", "colour", "published"),
    # 8-bit codes of 100 % colour bars, as printed in test-signal tables.
    [
        ("bt601", (1, 1, 1), (235, 128, 128)),
        ("bt601", (0, 0, 0), (16, 128, 128)),
        ("bt601", (1, 0, 0), (81, 90, 240)),
        ("bt601", (0, 1, 0), (145, 54, 34)),
        ("bt601", (0, 0, 1), (41, 240, 110)),
        ("bt709", (1, 1, 1), (235, 128, 128)),
        ("bt709", (0, 0, 0), (16, 128, 128)),
        ("bt709", (1, 0, 0), (63, 102, 240)),
        ("bt709", (0, 1, 0), (173, 42, 26)),
        ("bt709", (0, 0, 1), (32, 240, 118)),
    ],
)
def test_known_colours(matrix, colour, published):
    layout = replace(YUV8, matrix=matrix)
    rgb = to_rgb(np.array(published, np.float32), layout)
    assert np.abs(rgb - colour).max() < 0.01


def test_jpeg_white_and_black():
    layout = replace(YUV8, matrix="bt601", full_range=True)
    codes = np.array([[255, 128, 128], [0, 128, 128]], np.float32)
    assert to_rgb(codes, layout) == pytest.approx(np.array([[1.0] * 3, [0.0] * 3]), abs=1e-6)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p-jpeg", "yuv420p10", "yuv444p16"])
def test_neutral_chroma_is_grey(name):
    layout = LAYOUTS[name]
    luma = np.linspace(0, 2**layout.bits - 1, 50, dtype=np.float32)
    middle = np.full_like(luma, 2 ** (layout.bits - 1))
    rgb = to_rgb(np.stack([luma, middle, middle], -1), layout)
    assert np.abs(rgb - rgb[:, :1]).max() < 1e-6
    assert (np.diff(rgb[:, 0]) > 0).all()


@pytest.mark.parametrize("name", ["gray", "gray10-limited"])
def test_a_grey_frame_is_grey_from_black_to_white(name):
    layout = LAYOUTS[name]
    codes = np.array([codes_of((v, v, v), layout) for v in (0, 0.5, 1)], np.float32)
    assert to_rgb(codes, layout) == pytest.approx(np.repeat([[0.0], [0.5], [1.0]], 3, 1), abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_changes_are_linear_and_make_the_change_asked_for(name, rng):
    layout = LAYOUTS[name]
    a, b = rng.uniform(-1, 1, (2, 6, 7, 3)).astype(np.float32)
    together = delta_to_codes(a + 2 * b, layout)
    assert together.shape == (6, 7, 1 if layout.family == "gray" else 3)
    apart = delta_to_codes(a, layout) + 2 * delta_to_codes(b, layout)
    assert np.abs(together - apart).max() <= 2 * code_slack(layout)
    assert not delta_to_codes(np.zeros_like(a), layout).any()
    dark, bright = (np.array(codes_of(c, layout)) for c in ((0.1, 0.2, 0.3), (0.5, 0.5, 0.4)))
    step = delta_to_codes(np.array([0.4, 0.3, 0.1], np.float32), layout)
    assert np.abs(step - (bright - dark)).max() <= code_slack(layout)


def test_a_grey_change_of_a_grey_frame_is_that_change():
    layout = LAYOUTS["gray"]
    assert delta_to_codes(np.full(3, 0.2, np.float32), layout) == pytest.approx([51], abs=1e-4)
    assert codes_from_rgb(layout).shape == (1, 3)


@pytest.mark.parametrize(
    ("tag", "width", "height", "expected"),
    [
        (1, 320, 240, "bt709"),
        (5, 1920, 1080, "bt601"),
        (6, 1920, 1080, "bt601"),
        (9, 320, 240, "bt2020"),
        (7, 720, 576, "smpte240m"),
        (4, 720, 576, "fcc"),
        (2, 720, 576, "bt601"),
        (2, 1280, 720, "bt709"),
        (2, 1920, 1080, "bt709"),
        (2, 1080, 1920, "bt709"),
        (99, 352, 288, "bt601"),
    ],
)
def test_matrix_by_tag_and_else_by_size(tag, width, height, expected):
    assert matrix_name(tag, width, height) == expected
