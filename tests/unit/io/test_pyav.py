"""Pixel formats, views and copies of PyAV's pictures."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.format import names

from crsr_video.errors import InputError
from crsr_video.io import pixel_formats, pyav
from tests.support.video import picture

NATIVE = sorted(n for n in names if pixel_formats.pixel_format(n))
SOME = ("yuv420p", "yuvj422p", "yuv410p", "yuva444p10le", "nv21", "p010le", "gbrap12le", "gray10le")
SOME += ("rgb24", "0bgr", "argb", "rgba64le", "uyvy422", "ya8")


def noise(name: str, size: tuple[int, int], rng: np.random.Generator) -> av.VideoFrame:
    frame, fmt = pyav.blank(*size, name), pixel_formats.pixel_format(name)
    assert fmt is not None
    step = 1 << (fmt.bits - fmt.coded_bits)
    for view in pyav.views(frame, alpha=True):
        codes = rng.integers(0, (1 << fmt.bits) // step, view.shape) * step
        view[...] = codes.astype(view.dtype)
    frame.pts, frame.time_base = 7, Fraction(1, 50)
    return frame


def test_all_promised_pixel_formats_are_native() -> None:
    for chroma in ("420", "422", "444", "411", "410", "440"):
        assert f"yuv{chroma}p" in NATIVE
    for bits in (9, 10, 12, 14, 16):
        for chroma in ("420", "422", "444"):
            assert f"yuv{chroma}p{bits}le" in NATIVE
        assert {f"gbrp{bits}le", f"gray{bits}le"} <= set(NATIVE)
    packed = (
        "nv12 nv21 nv16 p010le p016le rgb24 bgr24 rgba bgra argb abgr 0rgb rgb0 yuyv422 uyvy422"
    )
    assert set(packed.split()) <= set(NATIVE)


@pytest.mark.parametrize("name", NATIVE)
def test_writes_and_reads_back_every_sample(name: str, rng: np.random.Generator) -> None:
    for size in ((16, 8), (17, 33), (1, 1)):
        frame = noise(name, size, rng)
        before = [v.copy() for v in pyav.views(frame)]
        pyav.write(frame, tuple(before))
        twin = pyav.copy(frame)
        again = pyav.views(twin, alpha=True)
        assert all(map(np.array_equal, again, pyav.views(frame, alpha=True)))
        assert (twin.pts, twin.time_base) == (7, Fraction(1, 50))
        layout = pyav.layout(frame)
        chroma = (-(-size[1] >> layout.y_shift), -(-size[0] >> layout.x_shift))
        assert [v.shape for v in before] == [size[::-1], chroma, chroma][: len(before)]


@pytest.mark.parametrize("name", SOME)
def test_agrees_with_swscale(name: str) -> None:
    """FFmpeg's own converter finds the same samples."""
    frame, fmt = picture(3, (32, 16), name), pixel_formats.pixel_format(name)
    assert fmt is not None
    wide = "16le" if fmt.bits > 8 else ""
    chroma = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (2, 2): "410"}
    target = {"rgb": f"gbrp{wide}", "gray": f"gray{wide}"}.get(
        fmt.family, f"yuv{chroma[fmt.x_shift, fmt.y_shift]}p{wide}"
    )
    other = frame.reformat(format=target)
    if name.startswith("yuvj"):
        other = frame.reformat(format=target, src_color_range="JPEG", dst_color_range="JPEG")
    for ours, theirs in zip(pyav.views(frame), pyav.views(other), strict=True):
        top = (1 << fmt.bits) - 1
        full = ours / top * ((1 << (16 if wide else 8)) - 1)
        if fmt.family == "yuv":  # YUV is widened by shifting, RGB and grey by stretching.
            full = ours.astype(float) * (1 << (16 - fmt.bits) if wide else 1)
        assert np.abs(full - theirs).max() <= (2 << (16 - fmt.bits) if wide else 1)


def test_views_share_the_frames_memory() -> None:
    frame = picture(0, (20, 10), "yuv420p")
    first, second = pyav.views(frame)[0], pyav.views(frame)[0]
    first[3, 4] = 99
    assert second[3, 4] == 99


def test_copy_does_not_touch_the_original() -> None:
    frame = picture(0, (20, 10), "nv12")
    before = pyav.views(frame)[1].copy()
    pyav.views(pyav.copy(frame))[1][...] = 0
    assert np.array_equal(pyav.views(frame)[1], before)


def test_pictures_of_changing_kinds_are_copied(rng: np.random.Generator) -> None:
    """The converter is kept for the next picture, which it must fit too."""
    kinds = [("nv12", (20, 10)), ("nv12", (32, 18)), ("gbrp16le", (32, 18)), ("nv12", (20, 10))]
    for name, size in kinds * 2:
        frame = noise(name, size, rng)
        frame.color_range = int(rng.integers(1, 3))
        twin = pyav.copy(frame)
        assert (twin.format.name, twin.pts, twin.time_base) == (name, frame.pts, frame.time_base)
        assert twin.color_range == frame.color_range
        assert all(map(np.array_equal, pyav.views(frame), pyav.views(twin)))
        pyav.views(twin)[0][...] = 1
        assert pyav.views(frame)[0].max() > 1


def test_uncoded_bits_are_rounded_away() -> None:
    frame = pyav.blank(2, 1, "p010le")
    luma = np.array([[33 + 640, 65535]], np.uint16)
    pyav.write(frame, (luma, *pyav.views(frame)[1:]))
    assert pyav.views(frame)[0].tolist() == [[704, 65472]]


@pytest.mark.parametrize("pair", [("nv12", "yuv420p"), ("bgr24", "gbrp"), ("yuyv422", "yuv422p")])
def test_regrouping_is_exact(pair: tuple[str, str], rng: np.random.Generator) -> None:
    frame = noise(pair[0], (17, 9), rng)
    result = pyav.convert(frame, pair[1])
    assert all(map(np.array_equal, pyav.views(frame), pyav.views(result)))
    assert (result.pts, result.format.name) == (7, pair[1])


def test_rgb_is_converted_to_yuv_with_a_tagged_matrix() -> None:
    frame = pyav.blank(64, 48, "rgb24")
    for view, value in zip(pyav.views(frame), (200, 60, 30), strict=True):
        view[...] = value
    result = pyav.convert(frame, "yuv444p")
    assert (result.colorspace, result.color_range) == (6, 1)
    luma = 16 + 219 / 255 * (0.299 * 200 + 0.587 * 60 + 0.114 * 30)
    assert abs(int(pyav.views(result)[0][5, 5]) - luma) <= 1


@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("pal8", "bgra"),
        ("yuv420p10be", "yuv420p10le"),
        ("gbrpf32le", "gbrp16le"),
        ("rgb8", "rgb24"),
        ("monow", "gray"),
        ("xyz12le", "yuv444p16le"),
        ("bayer_rggb16le", "gbrp16le"),
    ],
)
def test_formats_that_are_not_native_have_a_native_neighbour(name: str, native: str) -> None:
    assert pixel_formats.pixel_format(name) is None
    assert pixel_formats.nearest_native(name) == native


def test_every_format_has_a_native_neighbour() -> None:
    assert all(pixel_formats.pixel_format(pixel_formats.nearest_native(name)) for name in names)


@pytest.mark.parametrize(
    ("name", "codec", "cosited", "full"),
    [
        ("yuv420p", "h264", (True, False), False),
        ("yuvj420p", "mjpeg", (False, False), True),
        ("yuvj420p", "h264", (True, False), True),
        ("yuv420p", "mpeg1video", (False, False), False),
    ],
)
def test_layouts_have_siting_and_range(
    name: str, codec: str, cosited: tuple[bool, bool], full: bool
) -> None:
    layout = pyav.layout(pyav.blank(8, 8, name), codec)
    assert (layout.x_cosited, layout.y_cosited) == cosited
    assert layout.full_range == full


def test_bt2020_is_cosited_both_ways() -> None:
    frame = pyav.blank(8, 8, "yuv420p10le")
    frame.colorspace = 9
    assert pyav.layout(frame).y_cosited
    assert pyav.layout(frame).matrix == "bt2020"


def test_errors_are_translated_into_one_line() -> None:
    with (
        pytest.raises(InputError, match=r"^a: no such file$") as caught,
        pyav.translated(InputError, "a"),
    ):
        raise OSError(2, "no\nsuch file")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
