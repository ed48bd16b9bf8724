"""Faces are found upright in rotated, mirrored, interlaced and anamorphic pictures."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.imaging.masks import possibly_changed
from crsr_video.imaging.resampling import preview
from crsr_video.io import picture_properties, pyav
from tests.contract.harness import FAST, FFV1, MILLI, enhance, frames_of, times
from tests.support.frames import make_face
from tests.support.interlaced import FIELDS, interlaced_clip, woven
from tests.support.video import make_video

F = 1 << 16
MATRICES = {
    # a, b, c, d: a player shows (x, y), y downwards, at (a x + c y, b x + d y).
    "90 right": (0, F, -F, 0),
    "180": (-F, 0, 0, -F),
    "90 left": (0, -F, F, 0),
    "mirrored": (-F, 0, 0, F),
    "upside down, mirrored": (F, 0, 0, -F),
    "transposed": (0, F, F, 0),
    "transposed the other way": (0, -F, -F, 0),
}


def shown(picture: np.ndarray, matrix: tuple[int, ...]) -> np.ndarray:
    """Return the picture as a player shows it, computed from the definition."""
    a, b, c, d = (int(np.sign(v)) for v in matrix)
    height, width = picture.shape
    y, x = np.mgrid[:height, :width]
    column, row = a * x + c * y, b * x + d * y
    column, row = column - column.min(), row - row.min()
    result = np.zeros((row.max() + 1, column.max() + 1), picture.dtype)
    result[row, column] = picture
    return result


TURNED = [
    *((name, ".mp4") for name in MATRICES),
    *((name, suffix) for name in ("90 right", "mirrored") for suffix in (".mov", ".mkv")),
]


@pytest.mark.parametrize(("name", "suffix"), TURNED)
def test_faces_are_upright_and_the_matrix_is_kept(tmp_path: Path, name: str, suffix: str) -> None:
    a, b, c, d = MATRICES[name]
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    source = make_video(
        tmp_path / f"a{suffix}", frames=2, matrix=matrix, time_base=MILLI, size=(64, 48)
    )
    run = enhance(source, tmp_path / f"b{suffix}", FAST)
    for frame in (run.before[0], run.after[0]):
        found = picture_properties.display_matrix(picture_properties.side_data(frame.native))
        assert found is not None
        assert np.sign(found[:5]).tolist() == np.sign(matrix[:5]).tolist()
    # What detectors see is what a player shows; of a mirrored picture its mirror image.
    seen = 255 * preview(run.before[0], 64)
    wanted = shown(np.array(run.before[0].components[0]), MATRICES[name]).astype(int)
    mirrored = a * d - b * c < 0
    wanted = wanted[:, ::-1] if mirrored else wanted
    assert seen.shape == wanted.shape
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("suffix", [".avi", ".ts"])
def test_a_matrix_that_cannot_be_written_is_reported(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "a.mp4", frames=8, rotation=90)
    run = enhance(source, tmp_path / f"b{suffix}", None, faces=())
    container = {".ts": "mpegts", ".avi": "avi"}[suffix]
    assert f"{container} does not hold the rotation" in run.notices


@pytest.mark.parametrize(
    ("suffix", "aspect"),
    [
        (".mp4", Fraction(16, 15)),
        (".mkv", Fraction(64, 45)),
        (".mov", Fraction(8, 9)),
        (".ts", Fraction(16, 11)),
    ],
)
def test_sample_aspect_is_kept_and_faces_are_aligned_in_square_pixels(
    tmp_path: Path, suffix: str, aspect: Fraction
) -> None:
    base = MILLI if suffix == ".mkv" else None
    source = make_video(
        tmp_path / f"a{suffix}", frames=2, sample_aspect=aspect, size=(96, 80), time_base=base
    )
    run = enhance(source, tmp_path / f"b{suffix}", FAST)
    assert {f.sample_aspect for f in (*run.before, *run.after)} == {aspect}
    (patch,) = run.finished[0].changed
    across, along = np.linalg.norm(patch.crop_from_frame[:, :2], axis=0)
    assert across / along == pytest.approx(float(aspect), rel=0.05)


def test_a_lost_sample_aspect_is_reported(tmp_path: Path) -> None:
    """PyAV does not pass it to Matroska's muxer, and FFV1 does not store it."""
    source = make_video(tmp_path / "a.mp4", frames=1, sample_aspect=Fraction(16, 15))
    said = "matroska with ffv1 does not hold the sample aspect ratio: players show square pixels"
    assert said in enhance(source, tmp_path / "b.mkv", FFV1, faces=()).notices
    prores = OutputSettings(codec="prores_ks", options={"pix_fmt": "yuv422p10le"})
    notices = enhance(source, tmp_path / "b.mov", prores, faces=()).notices
    assert not any("sample aspect" in line for line in notices)
    assert frames_of(tmp_path / "b.mov")[0].sample_aspect == Fraction(16, 15)


# Interlaced -------------------------------------------------------------------------------------

MOVING = make_face(48, 46, 60)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("first", FIELDS)
def test_fields_are_enhanced_apart_and_woven_together(
    tmp_path: Path, first: str, scale: int
) -> None:
    source = interlaced_clip(tmp_path / "a.nut", first)
    run = enhance(source, tmp_path / "b.nut", FFV1, scale=scale, faces=(MOVING,))
    assert run.notices == ()
    assert len(run.finished) == len(run.after) == 4
    for old, done, new in zip(run.before, run.finished, run.after, strict=True):
        assert (old.interlaced, new.interlaced) == (first, first)
        assert (done.width, done.height) == (96 * scale, 96 * scale)
        where = possibly_changed(done)
        assert [p.track for p in done.changed] == [0, 0]
        if scale == 1:
            assert np.array_equal(old.components[0][~where], new.components[0][~where])
            assert (old.components[0][where] != new.components[0][where]).mean() > 0.3


@pytest.mark.parametrize("first", FIELDS)
def test_no_field_takes_anything_from_the_other(tmp_path: Path, first: str) -> None:
    """The network blurs, so fields would mix if both were enhanced as one picture."""

    def blurring(crops: np.ndarray) -> np.ndarray:
        large = np.repeat(np.repeat(crops, 4, 2), 4, 3)
        soft = [cv2.GaussianBlur(c.transpose(1, 2, 0), (0, 0), 6).transpose(2, 0, 1) for c in large]
        return np.stack(soft)

    source = interlaced_clip(tmp_path / "a.nut", first)
    run = enhance(source, tmp_path / "b.nut", FFV1, faces=(MOVING,), network=blurring)
    other = 1 if first == "top" else 0
    for number, (old, new) in enumerate(zip(run.before, run.after, strict=True)):
        assert np.array_equal(old.components[0], pyav.views(woven(number, first))[0])
        for parity in (0, 1):
            late = parity == other
            middle = 30 + 6 * (2 * number + late)
            field = new.components[0][parity::2].astype(float)
            row = field[23] - 60
            # Symmetric about its own disc, not drawn towards where the other field has it.
            if 20 < middle < 76:
                centre = (row * np.arange(96)).sum() / row.sum()
                assert centre == pytest.approx(middle, abs=1.0)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "prores_ks"])
@pytest.mark.parametrize("first", FIELDS)
def test_the_result_is_marked_interlaced(tmp_path: Path, codec: str, first: str) -> None:
    source = interlaced_clip(tmp_path / "a.nut", first)
    target = tmp_path / ("b.mov" if codec == "prores_ks" else "b.mkv")
    pix = {"pix_fmt": "yuv422p10le"} if codec == "prores_ks" else {}
    enhance(source, target, OutputSettings(codec=codec, options=pix), faces=())
    assert {f.interlaced for f in frames_of(target)} == {first}


def test_an_encoder_without_fields_says_so(tmp_path: Path) -> None:
    source = interlaced_clip(tmp_path / "a.nut", "top")
    run = enhance(source, tmp_path / "b.nut", OutputSettings(codec="libx265"), faces=())
    told = "libx265 cannot mark pictures as interlaced: players may show stripes"
    assert told in run.notices


def test_progressive_video_stays_so(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", frames=3)
    run = enhance(source, tmp_path / "b.mp4", FAST)
    assert {f.interlaced for f in (*run.before, *run.after)} == {"progressive"}
    assert len(times(tmp_path / "b.mp4")) == 3
