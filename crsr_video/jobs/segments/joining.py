"""Join segments: write their packets in order, together with the source's other streams."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from crsr_video.errors import OutputError
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.reader import Reader, ReadReport
from crsr_video.io.writer import Writer
from crsr_video.jobs.segments.packets import codec_parameters, packets
from crsr_video.jobs.segments.planning import Plan
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.types import VideoInfo


@dataclass(frozen=True, slots=True)
class Joined:
    """Description of the joined file."""

    plan: OutputPlan
    video: VideoInfo
    report: ReadReport
    """Report on reading the other streams of the source."""
    notices: tuple[str, ...]


def join(
    plan: Plan,
    results: Sequence[SegmentResult],
    folder: Path,
    *,
    overwrite: bool = False,
    exclusive: bool = True,
) -> Joined:
    """Write the result from the segment files. Nothing is decoded or encoded.

    Args:
        plan: The plan of the run.
        results: Results of all segments.
        folder: Folder of the segment files.
        overwrite: Replace an existing result.
        exclusive: Whether to lock the name of the result. False if the caller holds the lock.

    Raises:
        OutputError: Segments are missing or do not fit together, or the file cannot be written.
            No file is then left under the name of the result.
    """
    parts = _in_order(plan, results)
    config = plan.config
    with ExitStack() as stack:
        reader = stack.enter_context(
            Reader(plan.source, start=config.job.start, duration=config.job.duration)
        )
        writer = stack.enter_context(
            Writer(
                plan.output,
                reader.source,
                config.output,
                scale=config.scale,
                overwrite=overwrite,
                threads=plan.threads,
                exclusive=exclusive,
            )
        )
        _check_parameters([folder / part.name for part in parts], writer)
        video = _JoinedVideo(parts, folder, reader, writer)
        for item in reader.others():
            video.push_until(_decoding_time(item))
            writer.push_packet(item)
        video.push_until(None)
        writer.check_losses(reader.report.losses)
        writer.close()
        return Joined(writer.plan, reader.info, reader.report, writer.notices)


def _in_order(plan: Plan, results: Iterable[SegmentResult]) -> list[SegmentResult]:
    """Return the results that have frames, in the order of their numbers."""
    found = sorted(results, key=lambda result: result.number)
    if [result.number for result in found] != [segment.number for segment in plan.segments]:
        raise OutputError(f"{plan.output}: segments are missing or given twice")
    return [result for result in found if result.frames]


def _check_parameters(paths: Sequence[Path], writer: Writer) -> None:
    """Raise OutputError if a decoder would need new parameters in the middle of the result."""
    found = {codec_parameters(path) for path in paths}
    # Some writers do not know the parameters in advance. FFmpeg then takes them from the first
    # packet.
    found |= {writer.parameters} if writer.parameters else set()
    if len(found) > 1:
        raise OutputError(f"{paths[0].parent}: the segments were encoded with different parameters")


def _decoding_time(item: Passthrough) -> Fraction | None:
    """Return the decoding time of a packet in seconds."""
    packet = item.packet
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None else ticks * packet.time_base


class _JoinedVideo:
    """The packets of all segments as one stream."""

    def __init__(
        self, parts: Sequence[SegmentResult], folder: Path, reader: Reader, writer: Writer
    ) -> None:
        rate = reader.info.rate or Fraction(25)
        step = max(1, round(1 / (rate * writer.tick)))
        timed = _timed_packets(
            parts, folder, reader.info.time_base, reader.source.shift, writer.tick
        )
        delay = max((part.delay for part in parts), default=0)
        self._writer = writer
        self._packets = _in_decoding_order(timed, delay, step)
        self._next = next(self._packets, None)

    def push_until(self, seconds: Fraction | None) -> None:
        """Write the packets with decoding times up to `seconds`, or all the rest if it is None."""
        while self._next is not None:
            due = (self._next.dts or 0) * self._writer.tick
            if seconds is not None and due > seconds:
                return
            self._writer.push_encoded(self._next)
            self._next = next(self._packets, None)


def _timed_packets(
    parts: Iterable[SegmentResult],
    folder: Path,
    time_base: Fraction,
    shift: Fraction,
    clock: Fraction,
) -> Iterator[Packet]:
    """Yield all packets with increasing presentation times in the time base of the result.

    Args:
        parts: Segments in order.
        folder: Folder of the segment files.
        time_base: Time base of the source's video.
        shift: Seconds to subtract from all times of the source.
        clock: Time base of the result.
    """
    last: int | None = None
    for part in parts:
        path = folder / part.name
        timing: dict[int, tuple[int, int]] = {}
        durations = (ticks for count, ticks in part.durations for _ in range(count))
        pts_in_order = sorted((p.pts or 0, p.time_base) for p in packets(path))
        for (pts, tick), duration in zip(pts_in_order, durations, strict=True):
            # NUT uses its own time base, a whole fraction of the source's.
            ticks = round((part.first * time_base + pts * tick - shift) / clock)
            last = ticks if last is None else max(ticks, last + 1)
            timing[pts] = last, round(duration * time_base / clock)
        for packet in packets(path):
            packet.pts, packet.duration = timing[packet.pts or 0]
            yield packet


def _in_decoding_order(packets: Iterable[Packet], delay: int, step: int) -> Iterator[Packet]:
    """Set the decoding times of packets, and yield the packets.

    Packet n in decoding order gets the presentation time of frame n - `delay` in presentation
    order. Decoding is never more than `delay` frames ahead of presentation, so these times increase
    and never exceed the packet's own presentation time.

    Args:
        packets: Packets in decoding order, with presentation times.
        delay: Number of frames by which decoding precedes presentation.
        step: Ticks between the decoding times of the first `delay` packets, all of which precede
            the first presentation time.
    """
    waiting: list[int] = []
    early: list[Packet] = []
    for packet in packets:
        heapq.heappush(waiting, packet.pts or 0)
        if len(waiting) <= delay:
            early.append(packet)
            continue
        first = heapq.heappop(waiting)
        yield from _before(early, first, step)
        early = []
        packet.dts = first
        yield packet
    if early:  # The video has no more than `delay` frames.
        yield from _before(early, waiting[0], step)


def _before(packets: Sequence[Packet], first: int, step: int) -> Iterator[Packet]:
    for place, packet in enumerate(packets):
        packet.dts = first - (len(packets) - place) * step
        yield packet
