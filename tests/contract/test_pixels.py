"""Pixels outside the reported masks come out bit for bit, in every format; inside, the change is
made at the frame's own depth, and no colour shifts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.imaging.masks import mask, possibly_changed
from crsr_video.io import pixel_formats, pyav
from crsr_video.stages.align import Aligner
from crsr_video.types import Frame
from tests.contract.harness import FACE, FFV1, SIZE, enhance, frames_of, identity
from tests.support.frames import codes_of
from tests.support.video import make_video

RAW = OutputSettings(codec="rawvideo")
X265 = OutputSettings(codec="libx265", options={"x265-params": "lossless=1"})

SD, HD, UHD = (6, 6, 6, 1), (1, 1, 1, 1), (9, 14, 9, 1)
PQ, HLG = (9, 16, 9, 1), (9, 18, 9, 1)
FULL = (1, 1, 1, 2)
"""Codes of H.273 for primaries, transfer and matrix, and the range (1 limited, 2 full)."""

ROWS = [
    ("yuv420p", HD, FFV1),
    ("yuv420p", SD, FFV1),
    ("yuv420p", FULL, FFV1),
    ("yuvj420p", FULL, RAW),
    ("yuv422p", SD, FFV1),
    ("yuv422p", FULL, FFV1),
    ("yuv444p", HD, FFV1),
    ("nv12", HD, RAW),
    ("yuv420p10le", UHD, FFV1),
    ("yuv420p10le", PQ, FFV1),
    ("yuv420p10le", HLG, FFV1),
    ("yuv422p10le", HD, FFV1),
    ("yuv444p10le", FULL, FFV1),
    ("yuv444p12le", PQ, FFV1),
    ("gbrp", None, X265),
    ("gbrp10le", None, FFV1),
    ("rgb24", None, RAW),
    ("bgra", None, RAW),
    ("gray", None, FFV1),
    ("gray10le", None, FFV1),
    ("yuva420p", HD, FFV1),
    ("yuva444p10le", HD, FFV1),
]
IDS = [f"{name}-{'-'.join(map(str, tags or ()))}" for name, tags, _ in ROWS]


def clip(
    path: Path,
    name: str,
    tags: object,
    settings: OutputSettings,
    frames: int = 2,
    **options: object,
) -> Path:
    return make_video(
        path,
        codec=settings.codec or "ffv1",
        options=settings.options,
        pix_fmt=name,
        size=SIZE,
        frames=frames,
        colour=tags,
        **options,
    )


def in_planes(frame: Frame, pixels: np.ndarray) -> list[np.ndarray]:
    """Return a mask of each component's samples that belong to any of the pixels."""
    result = []
    for index, plane in enumerate(frame.components):
        step = (frame.layout.y_shift, frame.layout.x_shift) if index else (0, 0)
        y, x = np.nonzero(pixels)
        part = np.zeros(plane.shape, bool)
        part[y >> step[0], x >> step[1]] = True
        result.append(part)
    return result


@pytest.mark.parametrize(("name", "tags", "settings"), ROWS, ids=IDS)
def test_outside_the_masks_every_bit_stays(
    tmp_path: Path, name: str, tags: object, settings: OutputSettings
) -> None:
    source = clip(tmp_path / "a.nut", name, tags, settings)
    run = enhance(source, tmp_path / "b.nut", settings)
    assert len(run.before) == len(run.finished) == len(run.after) == 2
    for old, done, new in zip(run.before, run.finished, run.after, strict=True):
        assert new.layout == old.layout
        assert _tags(new) == _tags(old)
        where = possibly_changed(done)
        assert 0.1 < where.mean() < 0.7
        assert (mask(done)[~where] == 0).all()
        assert [p.track for p in done.changed] == [FACE.track]
        for a, b, inside in zip(old.components, new.components, in_planes(old, where), strict=True):
            assert np.array_equal(a[~inside], b[~inside])
        strong = mask(done) > 0.9
        change = new.components[0][strong].astype(int) - old.components[0][strong]
        assert (change != 0).mean() > 0.7
        assert _own_depth(old, change)
        fmt = pixel_formats.pixel_format(name)
        if fmt is not None and fmt.alpha:
            pair = [pyav.views(f.native, alpha=True)[-1] for f in (old, new)]
            assert np.array_equal(*pair)
            assert np.ptp(pair[0]) > 0


def _tags(frame: Frame) -> tuple[int, ...]:
    native = frame.native
    return (native.color_primaries, native.color_trc, native.colorspace, native.color_range)


def _own_depth(frame: Frame, change: np.ndarray) -> bool:
    """Return whether a change uses the lowest bits of deep samples."""
    fmt = pixel_formats.pixel_format(frame.layout.name)
    assert fmt is not None
    lowest = 1 << (fmt.bits - fmt.coded_bits)
    return bool((change // lowest % 2).any()) and not (change % lowest).any()


COLOURS = {"grey": (0.5, 0.5, 0.5), "skin": (0.85, 0.62, 0.51)}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("name", "tags", "settings"), ROWS[::2], ids=IDS[::2])
def test_a_flat_picture_keeps_its_colour(
    tmp_path: Path,
    name: str,
    tags: object,
    settings: OutputSettings,
    colour: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No code of a fully pasted identity network differs by more than one."""
    push = Aligner.push

    def replacing(self: Aligner, item: object) -> object:
        return [
            replace(i, faces=tuple(replace(f, detail=1.0) for f in i.faces))
            for i in push(self, item)
        ]

    monkeypatch.setattr(Aligner, "push", replacing)
    layout = frames_of(clip(tmp_path / "a.nut", name, tags, settings, frames=1))[0].layout
    codes = codes_of(COLOURS[colour], layout)
    source = clip(tmp_path / "c.nut", name, tags, settings, frames=2, flat=codes)
    run = enhance(source, tmp_path / "b.nut", settings, network=identity)
    for old, done, new in zip(run.before, run.finished, run.after, strict=True):
        assert done.changed
        for a, b in zip(old.components, new.components, strict=True):
            assert np.ptp(a) == 0
            assert np.abs(a.astype(int) - b).max() <= 1
