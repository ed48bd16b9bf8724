"""Transparency is kept where the container can hold it, or named; --strict refuses its loss."""

from pathlib import Path

import numpy as np
import pytest

from crsr_video import api
from crsr_video.config import Config, OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.types import Frame
from tests.contract.harness import enhance, frames_of
from tests.support.video import make_video

QUICK = {"deadline": "realtime", "auto-alt-ref": "0"}


def alpha(frame: Frame) -> np.ndarray:
    return pyav.views(frame.native, alpha=True)[-1].astype(np.float32)


def source_of(folder: Path, codec: str, suffix: str) -> Path:
    options = QUICK if codec.startswith("libvpx") else {}
    formats = {"png": "rgba", "prores_ks": "yuva444p10le"}
    plain = folder / f"in{suffix}"
    return make_video(plain, codec=codec, pix_fmt=formats.get(codec, "yuva420p"), options=options)


@pytest.mark.parametrize(
    ("codec", "suffix", "result", "wanted"),
    [
        ("libvpx-vp9", ".webm", ".webm", None),
        ("libvpx-vp9", ".mkv", ".mkv", None),
        ("libvpx", ".webm", ".webm", None),
        ("libvpx", ".webm", ".mkv", "ffv1"),
        ("ffv1", ".mkv", ".webm", "libvpx-vp9"),
        ("png", ".mov", ".mov", None),
        ("prores_ks", ".mov", ".mov", None),
    ],
)
def test_transparency_is_kept(
    tmp_path: Path, codec: str, suffix: str, result: str, wanted: str | None
) -> None:
    source = source_of(tmp_path, codec, suffix)
    run = enhance(source, tmp_path / f"out{result}", OutputSettings(codec=wanted), faces=())
    assert len(run.after) == len(run.before) == 12
    for before, after in zip(run.before, run.after, strict=True):
        assert float(np.abs(alpha(before) - alpha(after)).mean()) < 0.03 * 2**before.layout.bits
    assert not [line for line in run.notices if "transparen" in line]


def test_resumable_runs_keep_transparency(tmp_path: Path) -> None:
    source, target = source_of(tmp_path, "libvpx-vp9", ".webm"), tmp_path / "out.webm"
    strict = OutputSettings(strict=True)
    options = {"model": "identity", "device": "cpu", "precision": "fp32"}
    api.enhance(source, target, config=Config.from_options(**options, resume=True, output=strict))
    assert [frame.native.format.name for frame in frames_of(target)] == ["yuva420p"] * 12


@pytest.mark.parametrize(
    ("codec", "suffix", "result", "wanted"),
    [
        ("libvpx-vp9", ".webm", ".mp4", None),
        ("libvpx", ".webm", ".avi", None),
        ("libvpx-vp9", ".mkv", ".mkv", "libx264"),
        ("png", ".mov", ".ts", "libx264"),
    ],
)
def test_lost_transparency_is_named(
    tmp_path: Path, codec: str, suffix: str, result: str, wanted: str | None
) -> None:
    source = source_of(tmp_path, codec, suffix)
    run = enhance(source, tmp_path / f"out{result}", OutputSettings(codec=wanted), faces=())
    assert [line for line in run.notices if "transparen" in line or "converted" in line]
    with pytest.raises(OutputError, match="`strict`"):
        enhance(source, tmp_path / f"s{result}", OutputSettings(codec=wanted, strict=True))
