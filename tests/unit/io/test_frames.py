from fractions import Fraction

import av
import numpy as np
import pytest

from crsr_video.io import pixel_formats, pyav
from crsr_video.io.pictures import as_av, as_rgb, from_av, from_rgb
from tests.support.frames import same_planes

FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "yuv411p",
    "yuv410p",
    "yuv440p",
    "yuva420p",
    "yuv420p10le",
    "yuv422p12le",
    "yuv444p16le",
    "nv12",
    "nv21",
    "nv16",
    "nv24",
    "p010le",
    "p016le",
    "p210le",
    "yuyv422",
    "uyvy422",
    "yvyu422",
    "rgb24",
    "bgr24",
    "rgba",
    "bgra",
    "argb",
    "abgr",
    "rgb0",
    "0bgr",
    "rgb48le",
    "bgra64le",
    "gbrp",
    "gbrp10le",
    "gbrap",
    "gray",
    "gray10le",
    "gray16le",
    "ya8",
    "ya16le",
]


def picture(rng, height=11, width=14):
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def av_frame(name, rng, width=34, height=22):
    """Return a frame of random codes that the format can store."""
    frame = pyav.blank(width, height, name)
    fmt = pixel_formats.pixel_format(name)
    for view in pyav.views(frame, alpha=True):
        codes = rng.integers(0, 2**fmt.coded_bits, view.shape)
        view[...] = codes << (fmt.bits - fmt.coded_bits)
    frame.pts, frame.time_base = 1234, Fraction(1, 90000)
    return frame


@pytest.mark.parametrize("shape", [(11, 14), (1, 1), (1, 9), (480, 3)])
def test_rgb_pictures_are_converted_back_unchanged(rng, shape):
    given = picture(rng, *shape)
    frame = from_rgb(given, 7)
    assert frame.pts == 7
    assert (frame.height, frame.width) == shape
    back = as_rgb(frame)
    assert back.dtype == np.uint8
    assert np.array_equal(back, given)


def test_rgb_pictures_are_not_copied_and_the_result_is_no_view(rng):
    given = picture(rng)
    frame = from_rgb(given, 0)
    assert np.shares_memory(frame.components[0], given)
    assert not np.shares_memory(as_rgb(frame), given)


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::2], np.s_[2:9, 3:7], np.s_[..., ::-1]])
def test_strided_rgb_pictures_are_accepted(rng, view):
    given = picture(rng)[view]
    assert np.array_equal(as_rgb(from_rgb(given, 0)), given)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="picture"):
        from_rgb(wrong, 0)


@pytest.mark.parametrize("name", FORMATS)
def test_av_frames_are_converted_back_unchanged(name, rng):
    given = av_frame(name, rng)
    frame = from_av(given)
    assert (frame.width, frame.height) == (34, 22)
    assert (frame.pts, frame.time_base) == (1234, Fraction(1, 90000))
    assert as_av(frame) is given


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [(34, 22), (33, 21), (2, 2), (1, 1)])
def test_edited_av_frames_hold_exactly_the_new_components(name, size, rng):
    width, height = size
    if name in ("yuyv422", "uyvy422", "yvyu422"):
        width += width % 2
    given, other = av_frame(name, rng, width, height), av_frame(name, rng, width, height)
    frame = from_av(given)
    before = tuple(plane.copy() for plane in frame.components)
    fresh = tuple(plane.copy() for plane in from_av(other).components)
    alpha = pyav.views(given, alpha=True)[len(before) :]
    edited = as_av(frame.with_components(fresh))
    assert edited is not given
    assert edited.format.name == name
    assert (edited.width, edited.height) == (width, height)
    assert same_planes(from_av(edited), frame.with_components(fresh))
    assert (edited.pts, edited.time_base) == (1234, Fraction(1, 90000))
    for old, new in zip(alpha, pyav.views(edited, alpha=True)[len(before) :], strict=True):
        assert np.array_equal(old, new)
    assert all(np.array_equal(a, b) for a, b in zip(from_av(given).components, before, strict=True))


def test_samples_without_low_bits_are_rounded_to_what_is_coded(rng):
    given = av_frame("p010le", rng)
    frame = from_av(given)
    fresh = tuple(
        np.full_like(plane, code)
        for plane, code in zip(frame.components, (64 * 500 + 40, 64 * 300 + 20, 65535), strict=True)
    )
    edited = from_av(as_av(frame.with_components(fresh)))
    assert [int(plane[0, 0]) for plane in edited.components] == [64 * 501, 64 * 300, 64 * 1023]


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "rgb24", "gray", "yuva420p"])
def test_enlarged_av_frames_keep_times_and_colour(name, rng):
    given = av_frame(name, rng)
    given.colorspace, given.color_range = 9, 2
    given.color_primaries, given.color_trc = 9, 16
    frame = from_av(given)
    large = tuple(np.repeat(np.repeat(plane, 2, 0), 2, 1) for plane in frame.components)
    edited = as_av(frame.with_components(large))
    assert (edited.width, edited.height, edited.format.name) == (68, 44, name)
    assert (edited.pts, edited.time_base) == (1234, Fraction(1, 90000))
    assert int(edited.colorspace) == 9
    assert int(edited.color_range) == 2
    assert (int(edited.color_primaries), int(edited.color_trc)) == (9, 16)
    assert all(np.array_equal(a, b) for a, b in zip(from_av(edited).components, large, strict=True))


def test_edited_av_frames_keep_their_colour_tags(rng):
    given = av_frame("yuv420p", rng)
    given.colorspace, given.color_range = 1, 1
    given.color_primaries, given.color_trc = 1, 1
    frame = from_av(given)
    edited = as_av(frame.with_components(tuple(p.copy() for p in frame.components)))
    tags = [edited.colorspace, edited.color_range, edited.color_primaries, edited.color_trc]
    assert [int(tag) for tag in tags] == [1, 1, 1, 1]


def test_av_frames_without_times_are_accepted():
    given = av.VideoFrame(16, 16, "yuv420p")
    frame = from_av(given)
    assert frame.pts == 0
    assert frame.time_base > 0


@pytest.mark.parametrize("name", ["pal8", "rgb565le", "monow", "yuv420p10be"])
def test_formats_that_are_not_read_natively_are_refused(name):
    with pytest.raises(ValueError, match=name):
        from_av(av.VideoFrame(16, 16, name))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "yuv420p10le", "nv12", "gray", "gbrp"])
def test_rgb_view_shows_what_ffmpeg_shows(name):
    """A plain colour depends on nothing but the matrix and the range."""
    given = pyav.blank(16, 16, name)
    fmt = pixel_formats.pixel_format(name)
    for view, code in zip(pyav.views(given), (120, 90, 160), strict=False):
        view[...] = code << (fmt.bits - 8)
    given.colorspace, given.color_range = (0 if fmt.family == "rgb" else 1), 1
    if fmt.family != "yuv":
        given.color_range = 2
    ours = as_rgb(from_av(given))
    theirs = given.reformat(format="rgb24", src_colorspace=1).to_ndarray()
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_rgb_view_of_odd_subsampled_frames_has_the_frames_size(rng):
    frame = from_av(av_frame("yuv420p", rng, 33, 21))
    assert as_rgb(frame).shape == (21, 33, 3)
