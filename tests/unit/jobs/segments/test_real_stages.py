"""With the real stages, a segment does not depend on earlier work of its worker."""

from pathlib import Path

import av
import numpy as np

from crsr_video.api import enhance
from crsr_video.config import Config, OutputSettings
from crsr_video.jobs.segments import SegmentResult, SegmentWorker, join, plan
from crsr_video.jobs.segments.planning import Plan
from crsr_video.jobs.segments.results import match_tracks
from tests.support.paths import ROOT

CLIP = ROOT / "clips" / "phone_vfr.mp4"
CONFIG = Config.from_options(
    model="identity",
    device="cpu",
    precision="fp32",
    duration=1.0,
    output=OutputSettings(codec="ffv1"),
)


def enhanced(work: Plan, folder: Path, numbers: list[int]) -> dict[int, SegmentResult]:
    """Enhance some segments with one worker."""
    folder.mkdir(exist_ok=True)
    with SegmentWorker(work) as worker:
        return {n: worker.enhance(work.segments[n], folder) for n in numbers}


def luma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray()[: frame.height] for frame in file.decode(video=0)]


def test_fresh_and_busy_workers_write_the_same_file(tmp_path: Path) -> None:
    work = plan(CLIP, CONFIG, tmp_path / "out.mkv", length=20, warm_up=12)
    assert len(work.segments) == 2
    busy = enhanced(work, tmp_path / "busy", [0, 1])
    fresh = enhanced(work, tmp_path / "fresh", [1])
    assert busy[1].sha256 == fresh[1].sha256
    assert busy[1].entering == fresh[1].entering
    assert match_tracks(busy.values()) == [
        {1: 1},
        {1: 1},
    ]  # The same face on both sides of the boundary.
    join(work, list(busy.values()), tmp_path / "busy")
    enhance(CLIP, tmp_path / "plain.mkv", config=CONFIG)
    pairs = list(zip(luma(tmp_path / "out.mkv"), luma(tmp_path / "plain.mkv"), strict=True))
    differences = [np.abs(a.astype(int) - b).max() for a, b in pairs]
    assert differences[: busy[0].frames] == [0] * busy[0].frames
    assert max(differences) < 30  # Of 255 codes, at an edge that was sampled slightly aside.
