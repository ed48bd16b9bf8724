"""Packets of sources and of segment files, without decoding.

A segment is a NUT file, which keeps any time base and almost any codec. Other codecs are stored in
MOV, and video with a separate alpha stream in Matroska.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.error import FFmpegError
from av.format import ContainerFormat, Flags

from crsr_video.errors import InputError, OutputError
from crsr_video.io import pyav
from crsr_video.io.containers import holds_video
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.packet_clocks import JUMPING_FORMATS, RecordingClocks
from crsr_video.io.picture_times import frame_rate
from crsr_video.io.pyav import Packet
from crsr_video.io.source import RecordedSource
from crsr_video.io.sources.opening import main_video, open_container, packets_of


@dataclass(frozen=True, slots=True)
class Index:
    """Presentation times of a video's frames according to its packets."""

    times: tuple[int, ...]
    """Distinct times in ascending order, in ticks of the video stream."""
    keyframes: frozenset[int]
    is_exact: bool
    """Whether every packet has a distinct timestamp on one clock."""


def index(path: Path) -> Index:
    """Return the presentation times of a video, read from its packets without decoding them."""
    container = open_container(path)
    try:
        video = main_video(container, path)
        base = video.time_base or Fraction(1, 1000)
        step = max(1, round(1 / ((frame_rate(video) or Fraction(25)) * base)))
        clocks = RecordingClocks() if container.format.name in JUMPING_FORMATS else None
        times: list[int] = []
        # AVI stores decoding times only, so the presentation times of reordered frames are unknown.
        keys, exact, last = set(), container.format.name != "avi", -step
        try:
            streams = container.streams if clocks is not None else (video,)
            for packet in packets_of(container, *streams):
                if not packet.size:
                    continue
                if clocks is not None:  # The clock depends on all streams.
                    clocks.move(packet)
                    exact &= clocks.is_steady
                if packet.stream_index != video.index:
                    continue
                exact &= packet.pts is not None
                times_of = (packet.pts, packet.dts)
                last = next((t for t in times_of if t is not None), last + step)
                times.append(last)
                if packet.is_keyframe:
                    keys.add(last)
        except FFmpegError:
            exact = False
    finally:
        container.close()
    found = sorted(set(times))
    return Index(tuple(found), frozenset(keys), exact and len(found) == len(times))


_CONTAINERS = {".nut": "nut", ".mov": "mov", ".mkv": "matroska"}


def segment_suffix(result: OutputPlan) -> str:
    """Return the suffix of a container that stores the video in the form that the result needs."""
    if result.has_separate_alpha:
        return ".mkv"  # Only Matroska can. It rounds times as the result does.
    return ".nut" if holds_video("nut", result.encoder) else ".mov"


def segment_plan(result: OutputPlan, path: Path, source: RecordedSource) -> OutputPlan:
    """Return the plan of a segment file whose packets fit into the result of a source."""
    options = dict(result.choice.options)
    global_header: Any = Flags.global_header.value  # PyAV's type hints call it a `Flags`.
    header = int(ContainerFormat(result.container, "w").flags) & global_header
    flags = "+global_header" if header else "-global_header"
    options["flags"] = options.get("flags", "") + flags
    plan = result.for_segment(path, _CONTAINERS[path.suffix], source)
    return replace(plan, choice=replace(result.choice, options=options))


def packets(path: Path) -> Iterator[Packet]:
    """Yield the packets of a segment file in decoding order."""
    with (
        pyav.translated(OutputError, f"{path}: cannot be read"),
        open_container(path) as container,
    ):
        yield from (packet for packet in container.demux(video=0) if packet.size)


def codec_parameters(path: Path) -> bytes:
    """Return the parameters that a decoder needs before the first packet of a segment file."""
    with (
        pyav.translated(OutputError, f"{path}: cannot be read"),
        open_container(path) as container,
    ):
        return bytes(container.streams.video[0].codec_context.extradata or b"")


def count(path: Path) -> int:
    """Return the number of video packets in a file."""
    with (
        pyav.translated(InputError, f"{path}: cannot be read"),
        open_container(path) as container,
    ):
        return sum(1 for p in packets_of(container, main_video(container, path)) if p.size)
