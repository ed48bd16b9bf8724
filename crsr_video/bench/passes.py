"""Ways through a clip, each measured."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crsr_video.bench.case import Case, Speed
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.io.pictures import picture_of
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.pipeline import Networks, Pipeline, build
from crsr_video.runner import Runner
from crsr_video.types import Frame, TrackedFrame


class _Found:
    """In place of the tracker: finds nothing."""

    lookahead = 0

    def push(self, item: Frame) -> list[TrackedFrame]:
        return [TrackedFrame(item)]

    def flush(self) -> list[TrackedFrame]:
        return []

    def reset(self) -> None:
        pass


class _Left:
    """In place of paste: leaves all as it is."""

    lookahead = 0

    def push(self, item: TrackedFrame) -> list[Frame]:
        return [item.frame]

    def flush(self) -> list[Frame]:
        return []

    def reset(self) -> None:
        pass


def config(case: Case) -> Config:
    """What the case asks for."""
    return Config.from_options(
        model=case.model,
        device=case.device,
        precision=case.precision,
        reading=ReadSettings(hwaccel=case.hwaccel),
        output=OutputSettings(codec="libx264", preset=case.preset),
        overwrite=True,
    )


def plain(case: Case, clip: Path) -> Speed:
    """From decoder to encoder, through the same threads and queues, and nothing done."""
    return _through(case, clip, Pipeline([("track", _Found()), ("paste", _Left())]))


def enhanced(case: Case, clip: Path, networks: Networks) -> Speed:
    """The whole path."""
    with build(config(case), networks=networks) as frames:
        return _through(case, clip, frames)


def notices(case: Case, clip: Path) -> tuple[str, ...]:
    """What the decoder tells when it opens the clip."""
    with Reader(clip, read=config(case).reading) as decoder:
        return tuple(decoder.report.notes)


def _through(case: Case, clip: Path, frames: Pipeline) -> Speed:
    target = clip.with_suffix(".out.mp4")
    with Reader(clip, read=config(case).reading) as decoder:
        encoder = Writer(target, decoder.source, config(case).output, overwrite=True)
        with encoder:
            wall, cpu = time.perf_counter(), time.process_time()
            Runner(decoder, frames, encoder).run()
            encoder.close()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        count = decoder.report.frames
    return Speed(1000 * wall / count, 1000 * cpu / count)


@dataclass(frozen=True, slots=True)
class Apart:
    """What the stages take, each by itself."""

    stages: dict[str, float]
    """CPU milliseconds a frame."""
    crops: Counter[int]
    """Sides of the crops that were enhanced, to their number."""
    frames: int


class _Clock:
    """CPU seconds, by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        begin = time.process_time()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - begin


def apart(case: Case, clip: Path, networks: Networks) -> Apart:
    """The stages one after another on one thread, codecs too: each one's CPU time is its own."""
    clock, crops, count = _Clock(), Counter[int](), 0
    target = clip.with_suffix(".out.mp4")
    with (
        Reader(clip, threads=1, read=config(case).reading) as decoder,
        Writer(target, decoder.source, config(case).output, overwrite=True, threads=1) as encoder,
        build(config(case), networks=networks) as frames,
    ):
        frames.time_by(time.process_time)
        frames.observer = lambda item, _: crops.update(
            face.crop.size for face in item.faces if face.crop is not None
        )
        for done in _finished(decoder, frames, clock):
            count += 1
            with clock("convert"):
                picture_of(done, decoder.source.first, encoder.plan.pixel_format)
            with clock("encode"):
                encoder.push(done)
        with clock("encode"):
            encoder.close()
        stages = frames.statistics.stage_seconds
    # The encoder converts once more.
    clock.seconds["encode"] -= clock.seconds["convert"]
    seconds = {"decode": clock.seconds.pop("decode"), **stages, **clock.seconds}
    return Apart({part: 1000 * s / count for part, s in seconds.items()}, crops, count)


def _finished(decoder: Reader, frames: Pipeline, clock: _Clock) -> Iterator[Frame]:
    """Frames as they leave the pipeline."""
    items = iter(decoder)
    while True:
        with clock("decode"):
            item = next(items, None)
        if item is None:
            break
        if isinstance(item, Frame):
            yield from frames.push(item)
    yield from frames.flush()
