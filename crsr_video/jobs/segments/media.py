"""What segments need of PyAV: a look at the packets of a source, and segments as files.

A segment is a NUT file, which keeps any time base and nearly any codec; the others go into MOV.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.format import ContainerFormat, Flags

from crsr_video.errors import InputError, OutputError
from crsr_video.io import pyav
from crsr_video.io.containers import holds_video
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.pyav import Packet
from crsr_video.io.source import Source
from crsr_video.io.sources.opening import main_video, open_container, packets_of
from crsr_video.io.timestamps import JUMPING_FORMATS, RecordingClocks


@dataclass(frozen=True, slots=True)
class Index:
    """When a video's frames are due, as its packets say."""

    times: tuple[int, ...]
    """In ticks of `time_base`, ascending, each once."""
    keys: frozenset[int]
    """Those of the keyframes."""
    time_base: Fraction
    exact: bool
    """Every packet told its time, no two the same, on one clock."""


def index(path: Path) -> Index:
    """Read through a video without decoding it.

    Raises: InputError: it cannot be opened.
    """
    container = open_container(path)
    try:
        video = main_video(container, path)
        base = video.time_base or Fraction(1, 1000)
        step = max(1, round(1 / ((video.average_rate or Fraction(25)) * base)))
        clocks = RecordingClocks() if container.format.name in JUMPING_FORMATS else None
        times: list[int] = []
        # AVI tells the times of decoding only, which frames out of order do not keep.
        keys, exact, last = set(), container.format.name != "avi", -step
        try:
            for packet in packets_of(container, video):
                if not packet.size:
                    continue
                if clocks is not None:
                    clocks.move(packet)
                    exact &= not clocks.restarts
                exact &= packet.pts is not None
                last = _time(packet, last + step)
                times.append(last)
                if packet.is_keyframe:
                    keys.add(last)
        except FFmpegError:
            exact = False
    finally:
        container.close()
    found = sorted(set(times))
    return Index(tuple(found), frozenset(keys), base, exact and len(found) == len(times))


def _time(packet: Packet, guess: int) -> int:
    return next((t for t in (packet.pts, packet.dts) if t is not None), guess)


def segment_suffix(encoder: str) -> str:
    """Ending of a segment's file: of a container that holds the encoder's video exactly."""
    return ".nut" if holds_video("nut", encoder) else ".mov"


def segment_plan(whole: OutputPlan, path: Path, source: Source) -> OutputPlan:
    """Return the plan of a segment's file, whose packets fit into the result.

    Args:
        whole: Plan of the result.
        path: The segment's file.
        source: The source of the result.
    """
    options = dict(whole.choice.options)
    header = int(ContainerFormat(whole.container, "w").flags) & Flags.global_header.value  # type: ignore[operator]
    flags = "+global_header" if header else "-global_header"
    options["flags"] = options.get("flags", "") + flags
    container = "nut" if path.suffix == ".nut" else "mov"
    plan = whole.for_segment(path, container, source)
    return replace(plan, choice=replace(whole.choice, options=options))


def packets(path: Path) -> Iterator[Packet]:
    """The packets of a segment's file, in order of decoding.

    Raises: OutputError: it cannot be read.
    """
    with pyav.translated(OutputError, f"{path}: cannot be read"):
        container = open_container(path)
        try:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    yield packet
        finally:
            container.close()


def parameters(path: Path) -> bytes:
    """What a decoder must know before the first packet of a segment's file.

    Raises: OutputError: it cannot be read.
    """
    with pyav.translated(OutputError, f"{path}: cannot be read"):
        container = open_container(path)
        try:
            return bytes(container.streams.video[0].codec_context.extradata or b"")
        finally:
            container.close()


def count(path: Path) -> int:
    """How many packets of video a file holds.

    Raises: InputError: it is no video.
    """
    with pyav.translated(InputError, f"{path}: cannot be read"):
        container = open_container(path)
        try:
            return sum(1 for p in packets_of(container, main_video(container, path)) if p.size)
        finally:
            container.close()
