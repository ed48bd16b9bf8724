"""Analyse a video: decode, track, write down."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crsr_video import __version__
from crsr_video.analysis.overlay import Overlay, Target, settings
from crsr_video.analysis.portraits import Portraits
from crsr_video.analysis.sheet import write_sheet
from crsr_video.errors import ConfigError
from crsr_video.io.encode import Encoder, check_output
from crsr_video.io.reader import Passthrough, Reader
from crsr_video.io.source import check_path
from crsr_video.progress import Progress
from crsr_video.track import tracks_file
from crsr_video.track.tracker import Tracker, TrackerStats
from crsr_video.track.tracks_file import Person, Recorder, Settings
from crsr_video.types import Frame, TrackedFrame, VideoInfo
from crsr_video.workers import ReadAhead, WriteBehind

_DEPTH = 4
"""Items between threads."""
PICTURES = frozenset((".png", ".jpg", ".jpeg"))
"""Suffixes of sheets."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis found."""

    source: Path
    output: Path
    """The tracks file."""
    drawing: Path | None
    """The overlay video."""
    sheet: Path | None
    """The picture of all persons."""
    video: VideoInfo
    people: tuple[Person, ...]
    frames: int
    faces: int
    """Summed over frames."""
    scenes: int
    skipped: dict[str, int]
    """Reason to number of faces that `enhance` would leave alone, summed over frames."""
    seconds: float
    startup_seconds: float
    """Of those, until the first frame was read."""
    stage_seconds: dict[str, float]
    truncated: bool = False
    """The source ended before its end."""
    concealed: int = 0
    """Frames that the decoder had to patch up."""
    damaged: int = 0
    """Packets of the video that could not be decoded at all."""
    notices: tuple[str, ...] = field(default=())
    """What the user should know."""

    @property
    def partial(self) -> bool:
        """The source was cut off or damaged."""
        return self.truncated or self.concealed > 0 or self.damaged > 0

    @property
    def fps(self) -> float:
        """Frames a second, once started."""
        running = self.seconds - self.startup_seconds
        return self.frames / running if running > 0 else 0.0


def analyse(
    source: str | Path,
    output: str | Path | None = None,
    *,
    draw: str | Path | None = None,
    sheet: str | Path | None = None,
    min_face: float = 16.0,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Analysis:
    """Find every face of a video and write down where it is; no network is loaded.

    Args:    source: a video file.
             output: the tracks file; None: ``NAME.tracks.json`` beside the source.
             draw: a video with the faces drawn in, to be written too.
             sheet: a picture (.png, .jpg) of all persons, to be written too.
             min_face: faces narrower than this, in frame pixels, are marked as left alone.
             overwrite: replace existing results.
             on_progress: called after every frame, from the calling thread.
             on_notice: called with a line that the user should read.
    Returns: what was found.
    Raises:  CrsrError: nothing is left under the tracks file's name then.
    """
    begin = time.perf_counter()
    path = Path(source)
    target = path.with_suffix(".tracks.json") if output is None else Path(output)
    _check(path, target, draw, sheet, overwrite, min_face)
    with ExitStack() as stack:
        decoder = stack.enter_context(Reader(path))
        run = _Run(decoder, on_progress)
        encoder = run.draw(draw, overwrite, stack) if draw is not None else None
        tracker = stack.enter_context(Tracker(min_face=min_face))
        started = time.perf_counter()
        run.all(tracker, started)
        if encoder is not None:
            encoder.close()
        video = tracks_file.facts(path, decoder.info, decoder.source.first)
    recording = run.recorder.recording(
        video,
        Settings(float(min_face), tracker.lookahead),
        f"crsr-video {__version__}",
        run.portraits.addresses,
    )
    report = decoder.report
    notices = [*(encoder.notices if encoder else ()), *report.notes]
    notices += getattr(tracker, "notices", ())
    if sheet is not None:
        told = write_sheet(recording.people, run.portraits.pictures, Path(sheet))
        notices += [told] if told else []
    tracks_file.write(recording, target)
    notices = list(dict.fromkeys(notices))
    if on_notice is not None:
        for notice in notices:
            on_notice(notice)
    return Analysis(
        source=path,
        output=target,
        drawing=None if draw is None else Path(draw),
        sheet=None if sheet is None else Path(sheet),
        video=decoder.info,
        people=recording.people,
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


def _check(
    source: Path,
    output: Path,
    draw: str | Path | None,
    sheet: str | Path | None,
    overwrite: bool,
    min_face: float,
) -> None:
    """Refuse what cannot be written before anything is read.

    Raises: InputError, OutputError, ConfigError.
    """
    check_path(source)
    if not 0 <= min_face < tracks_file.FARTHEST:
        raise ConfigError(f"min-face must not be negative, but is {min_face:g}")
    results = [output, *(Path(other) for other in (draw, sheet) if other is not None)]
    for result in results:
        check_output(result, source, overwrite)
    if len({result.absolute() for result in results}) < len(results):
        raise ConfigError("tracks, drawing and sheet are three files: give them different names")
    if sheet is not None and Path(sheet).suffix.lower() not in PICTURES:
        raise ConfigError(f"{sheet}: a sheet is a picture, .png or .jpg")


class _Run:
    """Frames from the decoder through the tracker to all that is made of them."""

    def __init__(self, decoder: Reader, on_progress: Callable[[Progress], None] | None) -> None:
        self._decoder, self._on_progress = decoder, on_progress
        self._overlay: Overlay | None = None
        self._encoder: Encoder | None = None
        self._seconds: dict[str, float] = {}
        self._finished = 0
        self.recorder = Recorder()
        self.portraits = Portraits()
        self.faces = 0
        self.skipped: Counter[str] = Counter()

    def draw(self, path: str | Path, overwrite: bool, stack: ExitStack) -> Encoder:
        """Draw the faces into a video; returns its encoder, open in `stack`."""
        self._overlay = Overlay(self._decoder.source.first)
        target = Target(self._decoder, self._overlay)
        self._encoder = stack.enter_context(
            Encoder(path, target, settings(str(path)), overwrite=overwrite)
        )
        return self._encoder

    def all(self, tracker: Tracker, begin: float) -> None:
        """Everything, with decoding and encoding in threads of their own."""
        with (
            ReadAhead(self._decoded(), _DEPTH) as items,
            WriteBehind(self._write, _DEPTH) as writer,
        ):
            for item in items:
                if isinstance(item, Frame):
                    self._settle(tracker.push(item), writer, begin)
                else:
                    writer.put(item)
            self._settle(tracker.flush(), writer, begin)
        self._seconds |= tracker.stats.parts

    def stage_seconds(self) -> dict[str, float]:
        """Seconds by what they were spent on."""
        order = ("decode", *TrackerStats().parts, "record", "draw")
        return {name: self._seconds[name] for name in order if name in self._seconds}

    def _settle(
        self,
        done: list[TrackedFrame],
        writer: WriteBehind[TrackedFrame | Passthrough],
        begin: float,
    ) -> None:
        for item in done:
            with self._time("record"):
                self._record(item)
            writer.put(item)
            self._finished += 1
            if self._on_progress is not None:
                elapsed = time.perf_counter() - begin
                total = self._decoder.info.frames
                self._on_progress(Progress(self._finished, total, elapsed, len(item.faces)))

    def _record(self, item: TrackedFrame) -> None:
        self.recorder.add(item)
        self.portraits.add(item)
        self.faces += len(item.faces)
        self.skipped.update(face.skipped for face in item.faces if face.skipped is not None)

    def _write(self, item: TrackedFrame | Passthrough) -> None:
        if self._encoder is None or self._overlay is None:
            return
        with self._time("draw"):
            if isinstance(item, TrackedFrame):
                self._encoder.push(self._overlay.draw(item))
            else:
                self._encoder.push_packet(item)

    def _decoded(self) -> Iterator[Frame | Passthrough]:
        items = iter(self._decoder)
        while True:
            with self._time("decode"):
                item = next(items, None)
            if item is None:
                return
            yield item

    @contextmanager
    def _time(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begin
