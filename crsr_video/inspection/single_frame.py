"""One frame of a video, enhanced as in a whole run, and a picture of it before and after."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError, InputError, NoVideoError
from crsr_video.formatting import format_time
from crsr_video.imaging.resampling import upright_picture
from crsr_video.inspection.contact_sheet import SUFFIXES, Picture, arrange, caption, save
from crsr_video.io import images, still_files
from crsr_video.io.output_file import check_output
from crsr_video.io.reader import Reader
from crsr_video.io.sources.opening import check_path
from crsr_video.pipeline import Pipeline, build, replay_for
from crsr_video.track.replay import Replay
from crsr_video.types import Frame, RunStatistics, TrackedFrame

_ANY_WIDTH = 1 << 16
_WARM_UP_FRAMES = 4
"""Frames before the wanted one that are tracked, so that faces are found as in a whole run."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of a video, and its time."""

    seconds: float
    """Time of the frame in the file."""
    frame: Frame
    tracked: TrackedFrame


@dataclass(frozen=True, slots=True)
class Search:
    """Time range of the search for one frame, in seconds."""

    begin: float
    wanted: float
    step: float
    """Duration of a frame."""

    def run(
        self,
        frames: Iterable[tuple[float, Frame]],
        track: Callable[[Frame], TrackedFrame],
        shown: Moment | None = None,
    ) -> Moment | None:
        """Track frames up to the wanted one. Return that frame, or the last one before it.

        Args:
            frames: Frames with their times, from `begin` on.
            track: Finds the faces of the next frame.
            shown: The frame that was tracked last, if `frames` continue after it.
        """
        for seconds, frame in frames:
            tracked = track(frame)
            if shown is None or seconds <= self.wanted + self.step:
                shown = Moment(seconds, frame, tracked)
            if seconds >= self.wanted:
                break
        return shown


def search_for(at: float, fps: float) -> Search:
    """Return the search that finds the frame at a time.

    Args:
        at: Seconds from the beginning of the file.
        fps: Frame rate of the file.
    """
    step = 1 / fps
    wanted = max(0.0, at - step / 2)
    return Search(max(0.0, wanted - _WARM_UP_FRAMES * step), wanted, step)


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture file that shows one frame before and after."""

    output: Path
    seconds: float
    """Time of the frame in the video."""
    statistics: RunStatistics


def preview(
    source: str | Path,
    output: str | Path | None = None,
    *,
    at: float = 0.0,
    share: float | None = None,
    config: EnhancerConfig | None = None,
    overwrite: bool = False,
) -> Preview:
    """Write a picture of one frame before and after, side by side.

    Args:
        source: A video or a picture.
        output: A .png or .jpg file. Defaults to ``NAME.preview.png`` beside the source.
        at: Seconds from the beginning; the nearest frame is taken.
        share: Share of the duration from 0 to 1, instead of `at`: 0.5 is the middle.
        config: How the frame is enhanced.
        overwrite: Replace an existing result.
    """
    path, chosen = Path(source), config or EnhancerConfig()
    place = path.with_name(f"{path.stem}.preview.png") if output is None else Path(output)
    if place.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{place}: the name of a preview must end in .png, .jpg or .jpeg")
    check_path(path)
    check_output(place, path, overwrite)
    if still_files.is_still(path):
        if at > 0 or share is not None:
            raise ConfigError(f"{path}: `at` is for videos, and this is a picture")
        if chosen.faces.tracks is not None:
            raise ConfigError(f"{path}: `tracks` is for videos, and this is a picture")
        moment, after, statistics = _enhance_picture(path, chosen)
    else:
        moment, after, statistics = _enhance_moment(path, chosen, at, share)
    save(_side_by_side(moment, after, chosen.scale), place)
    return Preview(place, moment.seconds, statistics)


def _enhance_picture(path: Path, config: EnhancerConfig) -> tuple[Moment, Frame, RunStatistics]:
    frame = images.read(path).frame
    with build(config, live=True, in_background=True) as pipeline:
        tracked = pipeline.track(frame)[0]
        return Moment(0.0, frame, tracked), pipeline.restore(tracked)[0], pipeline.statistics


def _enhance_moment(
    path: Path, config: EnhancerConfig, at: float, share: float | None
) -> tuple[Moment, Frame, RunStatistics]:
    with ExitStack() as stack:

        def open_pipeline(replay: Replay | None = None) -> Pipeline:
            return stack.enter_context(build(config, live=True, tracker=replay, in_background=True))

        # Networks are loaded while the file is opened, unless its tracks have to be checked first.
        pipeline = open_pipeline() if config.faces.tracks is None else None
        with Reader(path) as probe:
            fps, length = float(probe.info.rate or 25), probe.info.seconds
        if share is not None:
            if not length:
                raise InputError(f"{path} does not say how long it is: give `at` in seconds")
            at = share * length
        search = search_for(at, fps)
        try:
            reader = stack.enter_context(Reader(path, start=search.begin))
        except NoVideoError as error:
            if 0 < length < at:
                text = f"{path} is only {length:.1f} s long: there is no frame at {at:g} s"
                raise InputError(text) from error
            raise
        if pipeline is None:
            shift = reader.source.shift
            pipeline = open_pipeline(replay_for(config, path, reader.info, shift=shift))
        track = pipeline.track
        moment = search.run(timed(reader, search.begin), lambda frame: track(frame)[0])
        if moment is None:
            raise InputError(f"{path}: there is no frame at {at:g} s")
        return moment, pipeline.restore(moment.tracked)[0], pipeline.statistics


def timed(reader: Reader, start: float) -> Iterator[tuple[float, Frame]]:
    """Yield frames with their times in the file, of which the reader skipped `start` seconds."""
    for item in reader:
        if isinstance(item, Frame):
            yield start + item.seconds, item


def _side_by_side(moment: Moment, after: Frame, scale: int) -> Picture:
    """Return both pictures with captions; the one before is enlarged to the size of the other."""
    shown = upright_picture(after, _ANY_WIDTH)
    original = upright_picture(moment.frame, _ANY_WIDTH)
    if scale > 1:
        size = shown.shape[1], shown.shape[0]
        original = np.asarray(cv2.resize(original, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    height, width = shown.shape[:2]
    line = max(16, height // 30)
    tiles = [
        np.concatenate([caption(text, width, line), picture])
        for text, picture in (
            (f"before, {format_time(moment.seconds)}", original),
            ("after", shown),
        )
    ]
    return arrange(tiles, columns=2)
