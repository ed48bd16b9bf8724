"""Analyse a video: find its faces and write a tracks file, without enhancing anything."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from crsr_video._version import __version__
from crsr_video.errors import ConfigError
from crsr_video.inspection import contact_sheet
from crsr_video.inspection.contact_sheet import Portraits, write_people_sheet
from crsr_video.inspection.drawing import Overlay, playable_settings
from crsr_video.io.output_file import check_output
from crsr_video.io.reader import Passthrough, Reader
from crsr_video.io.sources.opening import check_path
from crsr_video.io.windows import TimeSpan
from crsr_video.io.writer import Writer
from crsr_video.runner import Progress, RunSummary, ThreadChain
from crsr_video.stopwatch import Stopwatch
from crsr_video.track import tracks_file
from crsr_video.track.grouping import PeopleGrouper
from crsr_video.track.tracker import PARTS as TRACKER_PARTS
from crsr_video.track.tracker import Tracker
from crsr_video.track.tracks_file import Person, Recorder, Recording, TrackingSettings
from crsr_video.types import Frame, TrackedFrame, VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(RunSummary):
    """Result of an analysis."""

    source: Path
    output: Path
    """The tracks file."""
    drawing: Path | None
    """The video with the faces drawn in."""
    sheet: Path | None
    """The contact sheet of all people."""
    video: VideoInfo
    people: tuple[Person, ...]
    frames: int
    faces: int
    """Faces found, summed over frames."""
    scenes: int
    skipped: dict[str, int]
    """Number of faces that `enhance` would leave unchanged, by reason, summed over frames."""
    stage_seconds: dict[str, float]

    @property
    def fps(self) -> float:
        """Frames per second after the start."""
        return self.rate_of(self.frames)


def analyse(
    source: str | Path,
    output: str | Path | None = None,
    *,
    draw: str | Path | None = None,
    sheet: str | Path | None = None,
    min_face: float = 16.0,
    start: float = 0.0,
    duration: float | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Analysis:
    """Find every face of a video and write a tracks file. No enhancement network is loaded.

    Args:
        source: A video file.
        output: The tracks file. Defaults to ``NAME.tracks.json`` beside the source.
        draw: Also write a video with the faces drawn in.
        sheet: Also write a contact sheet (.png, .jpg) of all people.
        min_face: Faces narrower than this many frame pixels are marked as skipped.
        start: Seconds of the video to skip.
        duration: Seconds of the video to analyse. Defaults to everything.
        overwrite: Replace existing results.
        on_progress: Called after every frame, from the calling thread.
        on_notice: Called with each notice for the user.

    Raises:
        CrsrError: The analysis failed. No partial file is left under the name of a result.
    """
    begin = time.perf_counter()
    path = Path(source)
    target = path.with_suffix(".tracks.json") if output is None else Path(output)
    drawing = None if draw is None else Path(draw)
    sheet_path = None if sheet is None else Path(sheet)
    _check(path, target, drawing, sheet_path, overwrite, min_face)
    with ExitStack() as stack:
        reader = stack.enter_context(_reader(path, start, duration))
        run = _Run(reader, on_progress)
        encoder = run.open_drawing(drawing, overwrite, stack) if drawing is not None else None
        tracker = stack.enter_context(Tracker(min_face=min_face))
        started = time.perf_counter()
        run.run(tracker, started)
        if encoder is not None:
            encoder.close()
        video = tracks_file.video_facts(path, reader.info, reader.source.first)
    recording = run.recorder.recording(
        video,
        TrackingSettings(float(min_face), tracker.lookahead),
        f"crsr-video {__version__}",
        run.portraits.urls,
        run.grouper.people(),
    )
    people = tracks_file.people_of(recording)
    report = reader.report
    notices = [*(encoder.notices if encoder else ()), *report.notes]
    notices += [*tracker.notices, *run.grouper.notices]
    if sheet_path is not None:
        notice = write_people_sheet(people, sheet_path)
        notices += [notice] if notice else []
    tracks_file.write(recording, target)
    notices = list(dict.fromkeys(notices))
    if on_notice is not None:
        for notice in notices:
            on_notice(notice)
    return Analysis(
        source=path,
        output=target,
        drawing=drawing,
        sheet=sheet_path,
        video=reader.info,
        people=people,
        frames=len(recording.times),
        faces=run.faces,
        scenes=len(recording.cuts),
        skipped=dict(run.skipped),
        seconds=time.perf_counter() - begin,
        startup_seconds=started - begin,
        stage_seconds=run.stage_seconds(),
        truncated=report.truncated,
        concealed=report.concealed,
        damaged=report.damaged,
        notices=tuple(notices),
    )


def _reader(path: Path, start: float, duration: float | None) -> Reader:
    """Return a reader for a part of a video that keeps the timestamps of the whole video."""
    if start == 0 and duration is None:
        return Reader(path)
    with Reader(path, start=start, duration=duration) as part:
        base, shift, end = part.info.time_base, part.source.shift, part.source.end
    span = TimeSpan(
        begin=round(shift / base) if start > 0 else None,
        end=None if end is None else math.ceil(end / base),
    )
    return Reader(path, span=span)


def find_people(
    source: Path, *, min_face: float, on_progress: Callable[[Progress], None] | None = None
) -> Recording:
    """Return what `analyse` writes into a tracks file."""
    with TemporaryDirectory(prefix="crsr-video-") as folder:
        output = Path(folder) / "people.tracks.json"
        analyse(source, output, min_face=min_face, on_progress=on_progress)
        return tracks_file.read(output)


def _check(
    source: Path,
    output: Path,
    drawing: Path | None,
    sheet: Path | None,
    overwrite: bool,
    min_face: float,
) -> None:
    """Check, before anything is read, that all results can be written."""
    check_path(source)
    if not 0 <= min_face < tracks_file.FARTHEST:
        raise ConfigError(f"`min_face` must not be negative, but is {min_face:g}")
    results = [output, *(other for other in (drawing, sheet) if other is not None)]
    for result in results:
        check_output(result, source, overwrite)
    if len({result.absolute() for result in results}) < len(results):
        raise ConfigError("the tracks file, the drawing and the sheet need different names")
    if sheet is not None:
        contact_sheet.check_suffix(sheet)


class _Run:
    """Passes frames from the reader through the tracker to the recorder, portraits and drawing."""

    def __init__(self, reader: Reader, on_progress: Callable[[Progress], None] | None) -> None:
        self._reader, self._on_progress = reader, on_progress
        self._overlay: Overlay | None = None
        self._encoder: Writer | None = None
        self._watch = Stopwatch()
        self._finished = 0
        self.recorder = Recorder()
        self.portraits = Portraits()
        self.grouper = PeopleGrouper()
        self.faces = 0
        self.skipped: Counter[str] = Counter()

    def open_drawing(self, path: Path, overwrite: bool, stack: ExitStack) -> Writer:
        source = self._reader.source
        self._overlay = Overlay(source.first)
        first = self._overlay.draw(TrackedFrame(source.first))
        info = replace(self._reader.info, width=first.width, height=first.height)
        drawn = replace(source, first=first, info=info)
        settings = playable_settings(path, preset="veryfast")
        self._encoder = stack.enter_context(Writer(path, drawn, settings, overwrite=overwrite))
        return self._encoder

    def run(self, tracker: Tracker, begin: float) -> None:
        """Process the whole video, with reading and tracking in separate threads."""
        with ThreadChain(
            self._watch.iterate("decode", self._reader),
            partial(_tracked, tracker),
            interrupt=self._reader.interrupt,
        ) as items:
            for item in items:
                if isinstance(item, TrackedFrame):
                    item = self._record(item)
                self._write(item)
                if isinstance(item, TrackedFrame):
                    self._finished += 1
                    self._report_progress(item, time.perf_counter() - begin)
        self._watch.seconds |= tracker.statistics.seconds

    def stage_seconds(self) -> dict[str, float]:
        order = ("decode", *TRACKER_PARTS, "recognise", "record", "draw")
        seconds = self._watch.seconds
        return {name: seconds[name] for name in order if name in seconds}

    def _record(self, item: TrackedFrame) -> TrackedFrame:
        with self._watch("recognise"):
            (item,) = self.grouper.push(item)
        with self._watch("record"):
            self.recorder.add(item)
            self.portraits.add(item)
            self.faces += len(item.faces)
            self.skipped.update(f.skipped for f in item.faces if f.skipped is not None)
        return item

    def _report_progress(self, item: TrackedFrame, seconds: float) -> None:
        if self._on_progress is not None:
            total = self._reader.info.frames
            self._on_progress(Progress(self._finished, total, seconds, len(item.faces)))

    def _write(self, item: TrackedFrame | Passthrough) -> None:
        if self._encoder is None or self._overlay is None:
            return
        with self._watch("draw"):
            if isinstance(item, TrackedFrame):
                self._encoder.push(self._overlay.draw(item))
            else:
                self._encoder.push_packet(item)


def _tracked(
    tracker: Tracker, items: Iterable[Frame | Passthrough]
) -> Iterator[TrackedFrame | Passthrough]:
    for item in items:
        if isinstance(item, Frame):
            yield from tracker.push(item)
        else:
            yield item
    yield from tracker.flush()
