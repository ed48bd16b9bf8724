"""A filter for VapourSynth, over the same pipeline as everything else.

VapourSynth asks for frames in parallel and in any order, and the pipeline follows faces from frame
to frame. So every frame brings those before it along: what has not been seen yet is made up for, in
order, and only a leap begins anew, some frames earlier.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from crsr_video import pipeline
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError, TracksError
from crsr_video.imaging.colour import matrix_name
from crsr_video.pipeline import Pipeline
from crsr_video.track import tracks_file
from crsr_video.track.replay import Replay
from crsr_video.types import FieldOrder, Frame, PixelLayout, Plane

_FAMILIES = {vs.YUV: "yuv", vs.RGB: "rgb", vs.GRAY: "gray"}
_COSITED = {0: (True, False), 1: (False, False), 2: (True, True), 3: (False, True)}
"""By _ChromaLocation: left, centre, top left, top; horizontally and vertically."""
_FIELDS: dict[int, FieldOrder] = {1: "bottom", 2: "top"}
_BITS = range(8, 17)


def enhance(
    clip: Any,
    *,
    warm_up: int = 8,
    make: Callable[[EnhancerConfig], Pipeline] | None = None,
    **options: Any,
) -> Any:
    """Enhance the faces of a clip.

    Args:    clip: YUV, RGB or grey with 8 to 16 bits an integer sample, of constant format.
             warm_up: frames that are looked at before the one that a leap goes to.
             make: builds the pipeline, in place of the usual one.
             options: fields of `Config`: strength, model, min_face, tracks, faces, only, max_faces,
             texture, device and so on; those about files and scale have no meaning here.
    Returns: a clip of the same format, bit-identical outside the faces.
    Raises:  ConfigError: the clip's format, or an option, cannot be meant.
             TracksError: the tracks are not of this clip.
             WeightsError, FaceModelError, DeviceError.
    """
    config = _config(options)
    if warm_up < 0:
        raise ConfigError(f"warm_up must not be negative, but is {warm_up}")
    layout = _layout(clip)
    times = None if config.faces.tracks is None else _times(config.faces.tracks, clip)
    built = make(config) if make is not None else _build(config)
    # Frames come as they are ready: so far apart may those be that are asked for together.
    reach = max(warm_up, 2 * vs.core.num_threads)
    ordered = InOrder(built, layout, warm_up, reach=reach, times=times)
    history = [clip, *(_delayed(clip, by) for by in range(1, reach + 1))]
    return clip.std.ModifyFrame(history, ordered.frame)


def _config(options: dict[str, Any]) -> EnhancerConfig:
    """Raises: ConfigError: an option that is none, or has no meaning for frames."""
    given = dict(options)
    if given.get("tracks") is not None:
        given["tracks"] = Path(given["tracks"])
    if given.get("only") is not None:
        given["only"] = frozenset(given["only"])
    config = EnhancerConfig.from_options(**given)
    if config.scale != 1:
        raise ConfigError("`scale` must be 1 here: enlarge the clip itself, and then enhance it")
    return config


def _build(config: EnhancerConfig) -> Pipeline:
    """Without lookahead, or with the faces that were recorded."""
    if config.faces.tracks is None:
        return pipeline.build(config, live=True)
    recording = tracks_file.read(config.faces.tracks)
    replay = Replay(recording, config.faces.tracks, min_face=config.faces.min_face)
    return pipeline.build(config, live=True, tracker=replay)


def _times(tracks: Path, clip: Any) -> Sequence[int]:
    """When each frame of the video was, since a clip only counts them.

    Raises: TracksError: the file is of another video than the clip.
    """
    recording = tracks_file.read(tracks)
    facts, times = recording.video, recording.times
    for name, was, here in (
        ("width", facts.width, clip.width),
        ("height", facts.height, clip.height),
        ("number of frames", len(times), clip.num_frames),
    ):
        if was != here:
            raise TracksError(f"{tracks}: of another video: {name} is {was} there and {here} here")
    return [int(time) for time in times]


def _layout(clip: Any) -> PixelLayout:
    """Of the clip, as far as its format tells.

    Raises: ConfigError: the pipeline does not take it.
    """
    form = clip.format
    if form is None or 0 in (clip.width, clip.height):
        raise ConfigError("the clip must have one format and size throughout")
    if form.sample_type != vs.INTEGER:
        raise ConfigError(f"{form.name}: samples must be integers; convert it to 16 bits")
    if form.bits_per_sample not in _BITS or form.color_family not in _FAMILIES:
        raise ConfigError(f"{form.name}: samples must have 8 to 16 bits; convert it")
    return PixelLayout(
        name=form.name,
        family=_FAMILIES[form.color_family],  # type: ignore[arg-type]
        bits=form.bits_per_sample,
        x_shift=form.subsampling_w,
        y_shift=form.subsampling_h,
        matrix=matrix_name(2, clip.width, clip.height),
        full_range=form.color_family == vs.RGB,
    )


def _delayed(clip: Any, by: int) -> Any:
    """The clip some frames late; its first frame comes until then."""
    by = min(by, clip.num_frames)
    late = clip[0] * by
    return late if by == clip.num_frames else late + clip[: clip.num_frames - by]


class InOrder:
    """Frames in any order through a pipeline that wants them in theirs; for several threads.

    Args: layout: of the clip; what its frames tell besides is added.
          warm_up: frames that are looked at before the one that a leap goes to.
          reach: frames before each that come along with it.
          times: presentation time of every frame; None: its number.
    """

    def __init__(
        self,
        frames: Pipeline,
        layout: PixelLayout,
        warm_up: int,
        *,
        reach: int,
        times: Sequence[int] | None = None,
    ) -> None:
        self._frames, self._layout, self._times = frames, layout, times
        self._warm_up, self._reach = warm_up, reach
        self._next = 0
        self._finished: OrderedDict[int, tuple[Plane, ...] | None] = OrderedDict()
        self._lock = threading.Lock()

    def frame(self, n: int, f: list[Any]) -> Any:
        """A frame, as VapourSynth asks for it: its number, and it with those before it."""
        with self._lock:
            if n not in self._finished:
                self._advance(n, f)
            planes = self._finished[n]
        return f[0] if planes is None else _written(f[0], planes)

    def _advance(self, n: int, history: list[Any]) -> None:
        """Finish a frame, and those before it that were passed over."""
        first = self._next
        if not n - self._reach <= first <= n:
            self._frames.reset()
            first = max(0, n - self._warm_up)
        for number in range(first, n + 1):
            item = self._item(number, history[n - number])
            (done,) = self._frames.push(item)
            self._keep(number, done.components if done.edited else None)
        self._next = n + 1

    def _keep(self, number: int, planes: tuple[Plane, ...] | None) -> None:
        """Others may ask for it soon: those that asked while it was made up for."""
        self._finished[number] = planes
        self._finished.move_to_end(number)
        while len(self._finished) > 2 * self._reach:
            self._finished.popitem(last=False)

    def _item(self, number: int, picture: Any) -> Frame:
        """A frame for the pipeline; copied, since VapourSynth may take its memory back."""
        props = picture.props
        interlaced = _FIELDS.get(int(props.get("_FieldBased", 0)), "progressive")
        return Frame(
            components=tuple(np.array(plane) for plane in picture),
            layout=_told(self._layout, props, picture.width, picture.height),
            pts=self._times[number] if self._times is not None else number,
            time_base=Fraction(1, 1000),
            sample_aspect=_aspect(props),
            interlaced=interlaced,
        )


def _told(layout: PixelLayout, props: Any, width: int, height: int) -> PixelLayout:
    """The layout with what a frame's properties say."""
    full = layout.full_range
    if "_Range" in props:
        full = int(props["_Range"]) == 1
    elif "_ColorRange" in props:  # The same the other way round, in older versions.
        full = int(props["_ColorRange"]) == 0
    if layout.family == "rgb":
        full = True
    across, down = _COSITED.get(int(props.get("_ChromaLocation", 0)), (True, False))
    return PixelLayout(
        name=layout.name,
        family=layout.family,
        bits=layout.bits,
        x_shift=layout.x_shift,
        y_shift=layout.y_shift,
        matrix=matrix_name(int(props.get("_Matrix", 2)), width, height),
        full_range=full,
        x_cosited=across,
        y_cosited=down,
    )


def _aspect(props: Any) -> Fraction:
    """Width of a pixel over its height."""
    width, height = int(props.get("_SARNum", 1)), int(props.get("_SARDen", 1))
    return Fraction(width, height) if width > 0 and height > 0 else Fraction(1)


def _written(picture: Any, planes: tuple[Plane, ...]) -> Any:
    """A copy of a frame with other samples; its properties stay."""
    result = picture.copy()
    for number, plane in enumerate(planes):
        np.copyto(np.asarray(result[number]), plane)
    return result
