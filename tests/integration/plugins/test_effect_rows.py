"""Rows of frames that FFmpeg pads without saying so, in a stand-in for each of its versions."""

import numpy as np
import pytest

from tests.integration.plugins.sanitized import HERE, SANITIZE, compiled, fake, inverted, run, same

OLD = (8, 44)
"""Version of libavfilter in FFmpeg 5.1."""
NEW = (9, 11)
"""The first version of libavfilter that does not pad rows."""
UNSURE = (9, 3)
"""Version of libavfilter in FFmpeg 6.0."""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Compile a library that calls effects as a version of libavfilter does."""

    def make(version, alignment=64):
        major, minor = version
        path = tmp_path_factory.mktemp("by") / "libavfilter.so.1"
        number = (major << 16) + (minor << 8) + 100
        told = (f"-DVERSION={number}u", f"-DALIGNMENT={alignment}")
        compiled(*SANITIZE, *told, "-fPIC", "-shared", str(HERE / "c/filter.c"), "-o", str(path))
        return path

    return make


def pictures(width, count=3, height=40):
    """Return pictures of slanted edges with noise."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    made = []
    for number in range(count):
        wave = 110 + 60 * np.sin((x + 0.2 * y + 5 * number) / 7) + rng.normal(0, 4, x.shape)
        made.append(np.repeat(np.clip(wave, 0, 255)[..., None], 4, -1).astype(np.uint8))
    return made


def through(bench, place, by, given, *options, **environment):
    return run(bench, place, given, [f"-by={by}", *options], **environment)


@pytest.mark.parametrize(
    ("alignment", "width", "apart"), [(64, 86, 96), (32, 86, 88), (16, 86, 88), (64, 96, 96)]
)
def test_padded_rows_are_known_by_the_version(bench, place, library, alignment, width, apart):
    given = pictures(width)
    by = library(OLD, alignment)
    found, said = through(bench, place, by, given, f"-in={apart}", f"-out={apart}", **fake())
    assert not said
    assert same(found, inverted(given))


@pytest.mark.parametrize("given_apart", [86, 88, 96])
def test_frames_of_a_decoder_may_have_other_rows(bench, place, library, given_apart):
    given = pictures(86)
    by = library(OLD, 32)
    options = (f"-in={given_apart}", "-out=88")
    found, said = through(bench, place, by, given, *options, **fake())
    assert not said
    assert same(found, inverted(given))


def test_newer_versions_pad_nothing(bench, place, library):
    given = pictures(86)
    found, said = through(bench, place, library(NEW), given, **fake())
    assert not said
    assert same(found, inverted(given))


@pytest.mark.parametrize("version", [UNSURE, (6, 107), (9, 0)])
def test_tilted_frames_pass_if_the_layout_is_unknown(bench, place, library, version):
    given = pictures(86)
    by = library(version)
    found, said = through(bench, place, by, given, **fake())
    assert not said
    assert same(found, inverted(given))
    found, said = through(bench, place, by, given, "-in=96", "-out=96", **fake())
    assert said == [
        "crsr: the row padding of this ffmpeg is unknown: use the command that "
        "'crsr-video ffmpeg-args' prints; frames pass unchanged"
    ]
    whole = 86 * 40 // 96  # rows within what an effect may count on
    assert all(np.array_equal(f[:whole], g[:whole]) for f, g in zip(found, given, strict=True))


@pytest.mark.parametrize("given_apart", [86, 96])
def test_uniform_pictures_are_not_read_beyond_their_end(bench, place, library, given_apart):
    """Rows that are all alike or all different do not show their padding."""
    flat = [np.full((40, 86, 4), 90, np.uint8)] * 2
    noise = list(np.random.default_rng(1).integers(0, 256, (2, 40, 86, 4), np.uint8))
    options = (f"-in={given_apart}", "-out=96")
    found, _ = through(bench, place, library(OLD), flat, *options)
    assert same(found, flat)
    found, _ = through(bench, place, library(OLD), noise, *options)
    if given_apart == 96:
        assert all(np.array_equal(f[:35], g[:35]) for f, g in zip(found, noise, strict=True))


def test_without_a_server_padded_frames_pass(bench, place, library):
    given = pictures(86)
    found, said = through(bench, place, library(OLD), given, "-in=96", "-out=96")
    assert len(said) == 1
    assert same(found, given)
