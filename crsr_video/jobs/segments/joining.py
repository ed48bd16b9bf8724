"""Join segments: their packets one after the other, beside all other streams of the source."""

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
from crsr_video.jobs.segments import media
from crsr_video.jobs.segments.planning import Plan
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.types import VideoInfo


@dataclass(frozen=True, slots=True)
class Joined:
    """The finished file."""

    plan: OutputPlan
    video: VideoInfo
    """Of the source."""
    report: ReadReport
    """On the source's other streams, and on its end."""
    notices: tuple[str, ...]


def join(
    plan: Plan,
    results: Sequence[SegmentResult],
    folder: Path,
    *,
    overwrite: bool = False,
    exclusive: bool = True,
) -> Joined:
    """Write the result from all segments' files; nothing is decoded or encoded.

    Args:   results: of all segments. folder: where their files lie.
            exclusive: keep others from writing the result; False: the caller does.
    Raises: OutputError: segments are missing or do not fit together, or the file cannot be written;
            nothing is left under its name then.
    """
    parts = _in_order(plan, results)
    config = plan.config
    with ExitStack() as stack:
        film = stack.enter_context(
            Reader(plan.source, start=config.job.start, duration=config.job.duration)
        )
        encoder = stack.enter_context(
            Writer(
                plan.output,
                film.source,
                config.output,
                scale=config.scale,
                overwrite=overwrite,
                threads=plan.threads,
                exclusive=exclusive,
            )
        )
        _check_parameters([folder / part.name for part in parts], encoder)
        video = _Video(parts, folder, film, encoder)
        for item in film.others():
            video.push_until(_due(item))
            encoder.push_packet(item)
        video.push_until(None)
        encoder.close()
        return Joined(encoder.plan, film.info, film.report, encoder.notices)


def _in_order(plan: Plan, results: Iterable[SegmentResult]) -> list[SegmentResult]:
    """Results by number, without empty ones.

    Raises: OutputError: not one for each segment of the plan.
    """
    found = sorted(results, key=lambda result: result.number)
    if [result.number for result in found] != [segment.number for segment in plan.segments]:
        raise OutputError(f"{plan.output}: segments are missing or given twice")
    return [result for result in found if result.frames]


def _check_parameters(paths: Sequence[Path], encoder: Writer) -> None:
    """Raises: OutputError: a decoder would have to be told anew in the middle."""
    found = {media.parameters(path) for path in paths}
    # Some encoders have none; FFmpeg then finds them in the first packet.
    found |= {encoder.parameters} if encoder.parameters else set()
    if len(found) > 1:
        raise OutputError(f"{paths[0].parent}: the segments were encoded differently")


def _due(item: Passthrough) -> Fraction | None:
    """When a packet is to be decoded, in seconds."""
    packet = item.packet
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None else ticks * packet.time_base


class _Video:
    """The segments' packets as one stream."""

    def __init__(
        self, parts: Sequence[SegmentResult], folder: Path, film: Reader, encoder: Writer
    ) -> None:
        rate = film.info.rate or Fraction(25)
        self._encoder = encoder
        self._step = max(1, round(1 / (rate * encoder.tick)))
        timed = timed_packets(parts, folder, film.info.time_base, film.source.shift, encoder.tick)
        delay = max((part.delay for part in parts), default=0)
        self._packets = in_decoding_order(timed, delay, self._step)
        self._next = next(self._packets, None)

    def push_until(self, seconds: Fraction | None) -> None:
        """Write all packets that are to be decoded up to a moment; None: the rest."""
        while self._next is not None:
            due = (self._next.dts or 0) * self._encoder.tick
            if seconds is not None and due > seconds:
                return
            self._encoder.push_encoded(self._next)
            self._next = next(self._packets, None)


def timed_packets(
    parts: Iterable[SegmentResult], folder: Path, base: Fraction, shift: Fraction, clock: Fraction
) -> Iterator[Packet]:
    """All packets with the times of the result's clock; they grow from frame to frame.

    Args: base: tick of the source's video. shift: seconds to subtract.
    """
    last: int | None = None
    for part in parts:
        path = folder / part.name
        places: dict[int, tuple[int, int]] = {}
        durations = (ticks for count, ticks in part.durations for _ in range(count))
        pts_of = sorted((p.pts or 0, p.time_base) for p in media.packets(path))
        for (pts, tick), duration in zip(pts_of, durations, strict=True):
            # NUT counts in a tick of its own, which divides the source's.
            ticks = round((part.first * base + pts * tick - shift) / clock)
            last = ticks if last is None else max(ticks, last + 1)
            places[pts] = last, round(duration * base / clock)
        for packet in media.packets(path):
            packet.pts, packet.duration = places[packet.pts or 0]
            yield packet


def in_decoding_order(packets: Iterable[Packet], delay: int, step: int) -> Iterator[Packet]:
    """Give packets decoding times: those of the frames `delay` places earlier in presentation.

    A packet never precedes a frame of which more than `delay` are still to come, so these times
    grow and never lie after the packet's own.
    Args: step: ticks between the times of the first `delay` packets, before any frame.
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
    if early:  # There are no more frames than the delay.
        yield from _before(early, waiting[0], step)


def _before(packets: Sequence[Packet], first: int, step: int) -> Iterator[Packet]:
    for place, packet in enumerate(packets):
        packet.dts = first - (len(packets) - place) * step
        yield packet
