"""A VapourSynth filter that runs the same pipeline as the command line.

VapourSynth requests frames in parallel and in any order, but the pipeline tracks faces from frame
to frame. Therefore, every requested frame comes with the frames before it. Those that the pipeline
has not processed yet are enhanced first, in order. After a jump, the pipeline is reset and starts
some frames before the target of the jump.
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
from crsr_video.types import Family, FieldOrder, Frame, PixelLayout, Plane

_FAMILIES: dict[Any, Family] = {vs.YUV: "yuv", vs.RGB: "rgb", vs.GRAY: "gray"}
_COSITED = {0: (True, False), 1: (False, False), 2: (True, True), 3: (False, True)}
"""Whether chroma is cosited horizontally and vertically, by the value of _ChromaLocation: 0 is
left, 1 centre, 2 top left, 3 top."""
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

    Args:
        clip: YUV, RGB or grey with 8 to 16 bits per integer sample, of constant format.
        warm_up: Frames that are processed before the target of a jump.
        make: Function that builds the pipeline. Defaults to the usual pipeline.
        options: Options of `EnhancerConfig.from_options`, such as strength, model, min_face,
            tracks or device. `scale` must be 1.

    Returns:
        A clip of the same format, bit-identical outside the faces.

    Raises:
        ConfigError: The format of the clip, or an option, is invalid.
        TracksError: The tracks file belongs to another video.
        WeightsError: The networks cannot be loaded.
        FaceModelError: The face models cannot be loaded.
        DeviceError: The device is not available.
    """
    config = _config(options)
    if warm_up < 0:
        raise ConfigError(f"warm_up is {warm_up}, but must be at least 0")
    layout = _layout(clip)
    times = None if config.faces.tracks is None else _times(config.faces.tracks, clip)
    built = make(config) if make is not None else _build(config)
    # Frames that are requested in parallel are at most this far apart.
    reach = max(warm_up, 2 * vs.core.num_threads)
    ordered = FrameOrderer(built, layout, warm_up, reach=reach, times=times)
    history = [clip, *(_delayed(clip, by) for by in range(1, reach + 1))]
    return clip.std.ModifyFrame(history, ordered.frame)


def _config(options: dict[str, Any]) -> EnhancerConfig:
    given: dict[str, Any] = {"region": "face", **options}
    if given.get("tracks") is not None:
        given["tracks"] = Path(given["tracks"])
    if given.get("only") is not None:
        given["only"] = frozenset(given["only"])
    config = EnhancerConfig.from_options(**given)
    if config.scale != 1:
        raise ConfigError("scale must be 1: enlarge the clip itself, then enhance it")
    return config


def _build(config: EnhancerConfig) -> Pipeline:
    """Return a pipeline without lookahead, with the recorded faces if there is a tracks file."""
    if config.faces.tracks is None:
        return pipeline.build(config, live=True)
    recording = tracks_file.read(config.faces.tracks)
    replay = Replay(recording, config.faces.tracks, min_face=config.faces.min_face)
    return pipeline.build(config, live=True, tracker=replay)


def _times(tracks: Path, clip: Any) -> Sequence[int]:
    """Return the presentation time of every frame, because a clip has only frame numbers."""
    recording = tracks_file.read(tracks)
    facts, times = recording.video, recording.times
    for name, was, here in (
        ("width", facts.width, clip.width),
        ("height", facts.height, clip.height),
        ("number of frames", len(times), clip.num_frames),
    ):
        if was != here:
            raise TracksError(
                f"{tracks}: made from another video: {name} is {was} there and {here} here"
            )
    return [int(time) for time in times]


def _layout(clip: Any) -> PixelLayout:
    """Return the pixel layout of a clip, as far as its format determines it."""
    form = clip.format
    if form is None or 0 in (clip.width, clip.height):
        raise ConfigError("the clip must have a constant format and size")
    if form.sample_type != vs.INTEGER:
        raise ConfigError(f"{form.name}: samples must be integers: convert the clip to 16 bits")
    if form.bits_per_sample not in _BITS or form.color_family not in _FAMILIES:
        raise ConfigError(f"{form.name}: samples must have 8 to 16 bits: convert the clip")
    return PixelLayout(
        name=form.name,
        family=_FAMILIES[form.color_family],
        bits=form.bits_per_sample,
        x_shift=form.subsampling_w,
        y_shift=form.subsampling_h,
        matrix=matrix_name(2, clip.width, clip.height),
        full_range=form.color_family == vs.RGB,
    )


def _delayed(clip: Any, by: int) -> Any:
    """Return the clip delayed by some frames. It begins with copies of its first frame."""
    by = min(by, clip.num_frames)
    late = clip[0] * by
    return late if by == clip.num_frames else late + clip[: clip.num_frames - by]


class FrameOrderer:
    """Passes frames through a pipeline in order, although they are requested in any order.

    Several threads may use it at the same time.
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
        """Create the orderer.

        Args:
            frames: The pipeline.
            layout: The pixel layout of the clip. The properties of each frame complete it.
            warm_up: Frames that are processed before the target of a jump.
            reach: Number of preceding frames that come with each requested frame.
            times: Presentation time of every frame. Defaults to the numbers of the frames.
        """
        self._frames, self._layout, self._times = frames, layout, times
        self._warm_up, self._reach = warm_up, reach
        self._next = 0
        self._finished: OrderedDict[int, tuple[Plane, ...] | None] = OrderedDict()
        self._lock = threading.Lock()

    def frame(self, n: int, f: list[Any]) -> Any:
        """Return a frame, as VapourSynth requests it.

        Args:
            n: The number of the frame.
            f: The frame and those before it, latest first.
        """
        with self._lock:
            if n not in self._finished:
                self._advance(n, f)
            planes = self._finished[n]
        return f[0] if planes is None else _written(f[0], planes)

    def _advance(self, n: int, history: list[Any]) -> None:
        """Enhance a frame, after the frames before it that the pipeline has not processed yet."""
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
        """Keep the planes of a frame, because another thread may have requested it meanwhile."""
        self._finished[number] = planes
        self._finished.move_to_end(number)
        while len(self._finished) > 2 * self._reach:
            self._finished.popitem(last=False)

    def _item(self, number: int, picture: Any) -> Frame:
        """Return a frame for the pipeline, copied because VapourSynth may reuse its memory."""
        props = picture.props
        interlaced = _FIELDS.get(int(props.get("_FieldBased", 0)), "progressive")
        return Frame(
            components=tuple(np.array(plane) for plane in picture),
            layout=_layout_of_frame(self._layout, props, picture.width, picture.height),
            pts=self._times[number] if self._times is not None else number,
            time_base=Fraction(1, 1000),
            sample_aspect=_aspect(props),
            interlaced=interlaced,
        )


def _layout_of_frame(layout: PixelLayout, props: Any, width: int, height: int) -> PixelLayout:
    """Return the layout with the properties of a frame."""
    full = layout.full_range
    if "_Range" in props:
        full = int(props["_Range"]) == 1
    elif "_ColorRange" in props:  # The older property, in which 0 is full range and 1 limited.
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
    """Return the width of a pixel over its height."""
    width, height = int(props.get("_SARNum", 1)), int(props.get("_SARDen", 1))
    return Fraction(width, height) if width > 0 and height > 0 else Fraction(1)


def _written(picture: Any, planes: tuple[Plane, ...]) -> Any:
    """Return a copy of a frame with the given samples and the properties of the original."""
    result = picture.copy()
    for number, plane in enumerate(planes):
        np.copyto(np.asarray(result[number]), plane)
    return result
