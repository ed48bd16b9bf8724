"""Whole videos read and written, for tests of recorded results."""

from fractions import Fraction
from pathlib import Path

import av

from crsr_video.config import OutputSettings
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame

FAST = OutputSettings(preset="ultrafast")
MILLI = Fraction(1, 1000)


def transcode(
    source: Path, target: Path, settings: OutputSettings | None = FAST, **window: float
) -> tuple[str, ...]:
    """Decode and encode a file, and return the notices."""
    with (
        Reader(source, **window) as decoder,
        Writer(target, decoder.source, settings) as encoder,
    ):
        for item in decoder:
            if isinstance(item, Frame):
                encoder.push(item)
            else:
                encoder.push_packet(item)
    return encoder.notices


def frames_of(path: Path) -> list[Frame]:
    with Reader(path) as decoder:
        return [item for item in decoder if isinstance(item, Frame)]


def times(path: Path) -> list[Fraction]:
    return [f.pts * f.time_base for f in frames_of(path)]


def copied(path: Path) -> list[list[tuple[Fraction, bytes]]]:
    """Return times and bytes of the packets of every stream but the video."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        found: dict[int, list[tuple[Fraction, bytes]]] = {s.index: [] for s in streams}
        for packet in container.demux(*streams):
            if packet.size:
                found[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(found.values())


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if ".part" in p.name]
