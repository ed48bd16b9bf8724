"""A run in segments gives the same result as a run without, for all kinds of sources."""

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from crsr_video import api as enhancer
from crsr_video.config import Config, OutputSettings, PersonSettings
from crsr_video.errors import ConfigError, InputError, OutputError
from crsr_video.jobs.segments import enhance_resumably, join, plan
from crsr_video.jobs.segments.planning import divide
from crsr_video.jobs.segments.work_folder import work_folder_of
from crsr_video.jobs.segments.worker import SegmentWorker
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("fake_pipeline")

LENGTH = 10
FFV1 = OutputSettings(codec="ffv1")


def config(**choices: Any) -> Config:
    return Config.from_options(
        **{"model": "identity", "device": "cpu", "precision": "fp32", **choices}
    )


def frames(path: Path) -> list[tuple[Any, str]]:
    """Return time and checksum of every frame."""
    with av.open(str(path)) as file:
        return [
            (f.pts * f.time_base, hashlib.md5(f.to_ndarray().tobytes()).hexdigest())
            for f in file.decode(video=0)
        ]


def others(path: Path) -> list[tuple[Any, ...]]:
    """Return all packets of the other streams."""
    with av.open(str(path)) as file:
        return [
            (p.stream_index, p.pts, p.dts, p.duration, bytes(p))
            for p in file.demux()
            if p.size and p.stream.type != "video"
        ]


FINE = Fraction(1, 90000)
VFR = [i * 3600 + 700 * (i % 3) for i in range(45)]
CLIPS = {
    "b-frames.mp4": {"b_frames": 3, "gop": 7, "audio": 1},
    "vfr.mp4": {"time_base": FINE, "pts": VFR, "b_frames": 2, "gop": 9},
    "late.mp4": {"time_base": FINE, "pts": [t + 123_456 for t in VFR], "audio": 2},
    "matroska.mkv": {"codec": "libx264", "audio": 1, "subtitle": True, "attachment": b"font"},
    "stream.ts": {"codec": "libx264", "b_frames": 2, "gop": 8, "audio": 1},
    "untimed.avi": {"codec": "mpeg4", "b_frames": 2, "gop": 8},
    "deep.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "open.mpg": {"codec": "mpeg2video", "b_frames": 2, "gop": 8, "audio": 1},
}


@pytest.mark.parametrize("name", CLIPS)
def test_segments_do_not_change_frames_and_other_streams(name: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / name, frames=45, **CLIPS[name])
    suffix = ".mkv" if name.endswith((".mkv", ".ts", ".mpg")) else ".mov"
    codec = "ffv1" if suffix == ".mkv" else "prores_ks" if "deep" in name else "png"
    settings = config(output=OutputSettings(codec=codec))
    plain, resumed = tmp_path / f"plain{suffix}", tmp_path / f"resumed{suffix}"
    summary = enhancer.enhance(source, plain, config=settings)
    outcome = enhance_resumably(source, resumed, settings, length=LENGTH)
    assert frames(resumed) == frames(plain)
    assert len(frames(plain)) == 45
    assert others(resumed) == others(plain)
    found, expected = outcome.statistics, summary.statistics
    assert (found.frames, found.faces, found.tracks, found.cuts) == (45, 45, 1, 1)
    assert (expected.frames, expected.faces, expected.tracks, expected.cuts) == (45, 45, 1, 1)
    assert not work_folder_of(resumed).exists()


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mpeg4", "libsvtav1"])
def test_packets_of_all_segments_make_one_stream(codec: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", time_base=FINE, pts=VFR, b_frames=2)
    settings = config(output=OutputSettings(codec=codec, options=QUICK.get(codec, {})))
    enhance_resumably(source, tmp_path / "out.mp4", settings, length=LENGTH)
    with av.open(str(tmp_path / "out.mp4")) as file:
        packets = [p for p in file.demux(video=0) if p.size]
        dts = [p.dts for p in packets]
        assert dts == sorted(set(dts))
        assert all(p.dts <= p.pts for p in packets)
    assert [time for time, _ in frames(tmp_path / "out.mp4")] == [t * FINE for t in VFR]
    difference = mean_difference(source, tmp_path / "out.mp4")
    assert difference < 8, difference  # Coding errors are smaller, and damage is larger.


CONTAINERS = {
    ".ts": "libx264",
    ".avi": "mpeg4",
    ".mpg": "mpeg2video",
    ".webm": "libvpx",
    ".nut": "libx264",
}


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_joined_video_fits_every_container(suffix: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=45, b_frames=2)
    codec = CONTAINERS[suffix]
    settings = config(output=OutputSettings(codec=codec, options=QUICK.get(codec, {})))
    plain, resumed = tmp_path / f"plain{suffix}", tmp_path / f"resumed{suffix}"
    enhancer.enhance(source, plain, config=settings)
    enhance_resumably(source, resumed, settings, length=LENGTH)
    assert [time for time, _ in frames(resumed)] == [time for time, _ in frames(plain)]
    assert mean_difference(plain, resumed) < 6


QUICK = {
    "libx264": {"preset": "ultrafast", "bf": "2"},
    "libx265": {"preset": "ultrafast"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
    "libsvtav1": {"preset": "12"},
}


def mean_difference(a: Path, b: Path) -> float:
    """Return the largest mean difference of chroma, which the fake pipeline does not change."""
    with av.open(str(a)) as before, av.open(str(b)) as after:
        pairs = zip(before.decode(video=0), after.decode(video=0), strict=True)
        return max(
            float(np.abs(x.to_ndarray()[48:].astype(int) - y.to_ndarray()[48:]).mean())
            for x, y in pairs
        )


@pytest.mark.parametrize(
    "window", [{"start": 0.5}, {"duration": 1.0}, {"start": 0.3, "duration": 1}]
)
def test_a_part_of_the_source_gives_the_same_frames(
    window: dict[str, float], tmp_path: Path
) -> None:
    source = make_video(tmp_path / "in.mkv", frames=45, b_frames=2, gop=11, audio=1)
    settings = config(output=FFV1, **window)
    enhancer.enhance(source, tmp_path / "plain.mkv", config=settings)
    enhance_resumably(source, tmp_path / "resumed.mkv", settings, length=LENGTH)
    assert frames(tmp_path / "resumed.mkv") == frames(tmp_path / "plain.mkv")
    assert others(tmp_path / "resumed.mkv") == others(tmp_path / "plain.mkv")


def test_stream_properties_are_those_of_a_run_without_segments(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4",
        frames=25,
        colour=(9, 16, 9, 1),
        rotation=90,
        sample_aspect=Fraction(4, 3),
        chapters=True,
        metadata={"title": "A test"},
    )
    plain, resumed = tmp_path / "plain.mp4", tmp_path / "resumed.mp4"
    settings = config(output=OutputSettings(codec="libx264", preset="ultrafast"))
    settings = replace(settings, output=replace(settings.output, options={"threads": "2"}))
    enhancer.enhance(source, plain, config=settings)
    enhance_resumably(source, resumed, settings, length=LENGTH)
    assert described(resumed) == described(plain)


def described(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        context = video.codec_context
        frame = next(file.decode(video=0))
        return {
            "colour": (context.color_primaries, context.color_trc, context.colorspace),
            "range": context.color_range,
            "parameters": context.extradata,
            "aspect": video.sample_aspect_ratio,
            "rotation": frame.rotation,
            "rate": video.average_rate,
            "base": video.time_base,
            "start": video.start_time,
            "duration": video.duration,
            "metadata": {**file.metadata, **video.metadata},
            "chapters": file.chapters(),
        }


def test_segments_can_be_enhanced_anywhere_in_any_order(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=45, b_frames=2, audio=1)
    settings = config(output=FFV1)
    enhance_resumably(source, tmp_path / "one.mkv", settings, length=LENGTH)
    work = pickled(plan(source, settings, tmp_path / "many.mkv", length=LENGTH))
    folder = tmp_path / "parts"
    folder.mkdir()
    results = []
    for segment in reversed(work.segments):
        with SegmentWorker(work) as worker:
            results.append(pickled(worker.enhance(segment, folder)))
    join(work, results, folder)
    assert frames(tmp_path / "many.mkv") == frames(tmp_path / "one.mkv")
    assert others(tmp_path / "many.mkv") == others(tmp_path / "one.mkv")
    with pytest.raises(OutputError, match="missing or given twice"):
        join(work, results[1:], folder, overwrite=True)


def pickled(thing: Any) -> Any:
    """Return a thing as it arrives on another machine."""
    return pickle.loads(pickle.dumps(thing))


def test_a_worker_with_other_versions_is_refused(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    work = plan(source, config(), tmp_path / "out.mp4")
    work.versions["torch"] = "0.1"
    with pytest.raises(InputError, match=r"torch 0\.1 \(now "):
        SegmentWorker(work)


def test_one_frame_makes_one_segment(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=1)
    enhance_resumably(source, tmp_path / "out.mkv", config(output=FFV1), length=LENGTH)
    assert len(frames(tmp_path / "out.mkv")) == 1


def test_choosing_people_needs_a_tracks_file(
    tmp_path: Path,
) -> None:
    source = make_video(tmp_path / "in.mp4")
    chosen = config(people={2: PersonSettings(enabled=False)})
    with pytest.raises(ConfigError, match="tracks"):
        enhance_resumably(source, tmp_path / "out.mp4", chosen)


def test_segments_begin_with_keyframes_if_possible() -> None:
    times = [40 * i for i in range(100)]
    keys = frozenset(times[i] for i in (0, 22, 38, 61))
    parts = divide(times, keys, 20, 6, None)
    begins = [0 if part.begin is None else part.begin // 40 for part in parts]
    assert begins == [
        0,
        22,
        38,
        61,
        81,
    ]  # There is no keyframe near 81, and the remaining 19 frames are enough.
    assert [part.frames for part in parts] == [22, 16, 23, 20, 19]
    assert [part.warm_up and part.warm_up // 40 for part in parts] == [None, 16, 32, 55, 75]
    assert parts[0].begin is None
    assert parts[-1].end is None
    assert [a.end for a in parts[:-1]] == [b.begin for b in parts[1:]]


@pytest.mark.parametrize("count", [0, 1, 2, 19, 29, 30, 31])
def test_a_short_remainder_joins_the_last_segment(count: int) -> None:
    parts = divide(list(range(count)), frozenset(), 20, 6, None)
    assert sum(part.frames for part in parts) == count
    assert all(part.frames >= 10 for part in parts[1:])
    assert len(parts) == (2 if count >= 30 else 1)


def cut_off(data: bytearray) -> bytearray:
    return data[: len(data) * 2 // 3]


def flipped(data: bytearray) -> bytearray:
    for place in range(len(data) // 2, len(data) // 2 + 1500, 7):
        data[place] ^= 0xFF
    return data


@pytest.mark.parametrize("harm", [cut_off, flipped])
def test_a_damaged_source_gives_the_same_result(
    harm: Callable[[bytearray], bytearray], tmp_path: Path
) -> None:
    source = make_video(tmp_path / "in.mkv", frames=60, gop=10, audio=1)
    source.write_bytes(harm(bytearray(source.read_bytes())))
    settings = config(output=FFV1)
    summary = enhancer.enhance(source, tmp_path / "plain.mkv", config=settings)
    outcome = enhance_resumably(source, tmp_path / "resumed.mkv", settings, length=LENGTH)
    assert frames(tmp_path / "resumed.mkv") == frames(tmp_path / "plain.mkv")
    assert others(tmp_path / "resumed.mkv") == others(tmp_path / "plain.mkv")
    assert summary.partial or summary.notices
    assert outcome.joined.report.truncated == summary.truncated
    assert (outcome.concealed, outcome.damaged) == (summary.concealed, summary.damaged)
