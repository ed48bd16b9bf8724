"""Enhance whole files, still pictures, or frames one by one: the public API.

import crsr_video
summary = crsr_video.enhance("interview.mp4", "better.mp4")
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import Config, EnhancerConfig
from crsr_video.errors import ConfigError, InputError
from crsr_video.io import pictures as conversion
from crsr_video.io import still_files
from crsr_video.io.sources.opening import check_path
from crsr_video.jobs.file import Summary, enhance
from crsr_video.keyword_settings import FileKeywords, FrameKeywords
from crsr_video.types import Frame, RunStatistics

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from PIL.Image import Image

__all__ = ["Enhancer", "Summary", "enhance", "enhance_image"]


class Enhancer(Closing):
    """Enhances frames one by one, wherever they come from.

    Frames are ``av.VideoFrame`` objects or uint8 RGB arrays (H, W, 3). Each comes back as the same
    kind. With lookahead, which is the default, results come some frames late and `flush` returns
    the last ones. ``live=True`` returns each frame at once.

    Example:
        >>> with Enhancer(strength=0.8) as enhancer:
        ...     for frame in frames:
        ...         for enhanced in enhancer.push(frame):
        ...             show(enhanced)
        ...     for enhanced in enhancer.flush():
        ...         show(enhanced)

    Args:
        config: How frames are enhanced. A `Config` is accepted if its settings for files
            (`reading`, `output`, `job`) have their defaults.
        live: Return each frame at once, without lookahead.
        **settings: Single settings by name, such as ``strength=0.8``, which replace those of
            `config`. They are documented in `FaceSettings`, `NetworkSettings` and
            `EnhancerConfig`.

    Raises:
        ConfigError: A setting needs a file: `tracks`, `reading`, `output` or `job`.
        DeviceError: The device or the precision is not available.
        WeightsError: The weights cannot be loaded.
        FaceModelError: The face models cannot be loaded.
    """

    def __init__(
        self,
        config: EnhancerConfig | None = None,
        *,
        live: bool = False,
        **settings: Unpack[FrameKeywords],
    ) -> None:
        chosen = (config or EnhancerConfig()).with_options(**settings)
        _refuse_file_settings(chosen)
        self._pipeline = pipeline.build(chosen, live=live)
        self._count = 0
        self._is_closed = self._is_inside = False

    @property
    def lookahead(self) -> int:
        """Number of frames by which results may come late."""
        return self._pipeline.lookahead

    @property
    def statistics(self) -> RunStatistics:
        """Counts of frames and faces so far, and the time of every stage."""
        return self._pipeline.statistics

    @overload
    def push(self, frame: NDArray[np.uint8]) -> list[NDArray[np.uint8]]: ...
    @overload
    def push(self, frame: "VideoFrame") -> "list[VideoFrame]": ...
    def push(self, frame: Any) -> list[Any]:
        """Process a frame, and return the finished frames in order.

        Args:
            frame: An ``av.VideoFrame``, or a uint8 array (H, W, 3) in RGB.

        Raises:
            ValueError: The frame has another type or shape, or this object is closed.
        """
        if self._is_closed:
            raise ValueError("this Enhancer is closed")
        self._is_inside = True
        return [_to_caller(done) for done in self._pipeline.push(self._from_caller(frame))]

    def flush(self) -> list[Any]:
        """End the sequence, and return the frames that were held back."""
        self._is_inside = False
        return [_to_caller(done) for done in self._pipeline.flush()]

    @overload
    def enhance(self, frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]: ...
    @overload
    def enhance(self, frames: "Iterable[VideoFrame]") -> "Iterator[VideoFrame]": ...
    def enhance(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Yield all frames enhanced, in order, and hold no more than `lookahead` of them.

        Args:
            frames: Frames of one video, in order. For one picture, use `enhance_image`.

        Raises:
            ValueError: This is a single picture, or a frame is neither an array nor an
                ``av.VideoFrame``.
        """
        is_array = isinstance(frames, np.ndarray) and frames.ndim < 4
        if is_array or hasattr(frames, "planes") or hasattr(frames, "getexif"):
            raise ValueError("`frames` is a single picture: use `enhance_image` for it")
        return self._enhance_all(frames)

    def _enhance_all(self, frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    @overload
    def enhance_image(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
    @overload
    def enhance_image(self, picture: NDArray[np.uint16]) -> NDArray[np.uint16]: ...
    @overload
    def enhance_image(self, picture: "Image") -> "Image": ...
    def enhance_image(self, picture: Any) -> Any:
        """Return an enhanced copy of a single picture that is not part of a video.

        Args:
            picture: A uint8 or uint16 array, (H, W) for gray, (H, W, 3) in RGB or (H, W, 4) with
                alpha; or a ``PIL.Image.Image``. It is not changed.

        Returns:
            An object of the same kind. A Pillow image keeps its metadata and its orientation.

        Raises:
            ValueError: The picture has another type or shape, this object is closed, or it still
                holds frames of a video.
        """
        if self._is_closed:
            raise ValueError("this Enhancer is closed")
        if self._is_inside:
            raise ValueError("this Enhancer is inside a video: call flush() or reset() first")
        is_array = isinstance(picture, np.ndarray)
        if not is_array and not hasattr(picture, "getexif"):
            raise ValueError(
                f"a picture is a numpy array or a PIL image, not {type(picture).__name__}"
            )
        from crsr_video.io import image_writing, images  # loads Pillow, which frames do not need

        image = images.from_array(picture) if is_array else images.from_pillow(picture)
        (done,) = [*self._pipeline.push(image.frame), *self._pipeline.flush()]
        self._pipeline.reset()
        return (image_writing.to_pixels if is_array else image_writing.to_pillow)(image, done)

    def reset(self) -> None:
        """Forget all frames and faces, as at the beginning of another video."""
        self._is_inside = False
        self._pipeline.reset()

    def close(self) -> None:
        """Free the face models. The object cannot be used afterwards."""
        self._is_closed = True
        self._pipeline.close()

    def _from_caller(self, frame: Any) -> Frame:
        self._count += 1
        if isinstance(frame, np.ndarray):
            return conversion.from_rgb(frame, self._count)
        if hasattr(frame, "planes"):
            return conversion.from_av(frame)
        raise ValueError(
            f"a frame is a numpy array or an av.VideoFrame, not {type(frame).__name__}"
        )


@overload
def enhance_image(
    picture: str | Path,
    output: str | Path | None = None,
    *,
    config: EnhancerConfig | None = None,
    **settings: Unpack[FileKeywords],
) -> Path: ...
@overload
def enhance_image(
    picture: NDArray[np.uint8],
    *,
    config: EnhancerConfig | None = None,
    **settings: Unpack[FrameKeywords],
) -> NDArray[np.uint8]: ...
@overload
def enhance_image(
    picture: NDArray[np.uint16],
    *,
    config: EnhancerConfig | None = None,
    **settings: Unpack[FrameKeywords],
) -> NDArray[np.uint16]: ...
@overload
def enhance_image(
    picture: "Image", *, config: EnhancerConfig | None = None, **settings: Unpack[FrameKeywords]
) -> "Image": ...
def enhance_image(
    picture: Any,
    output: str | Path | None = None,
    *,
    config: EnhancerConfig | None = None,
    **settings: Any,
) -> Any:
    """Enhance the faces of one picture.

    Every call loads the networks. For many pictures, use `Enhancer.enhance_image`.

    Args:
        picture: An array or a ``PIL.Image.Image``, as for `Enhancer.enhance_image`; or the path of
            a picture file.
        output: Path of the result, if `picture` is a path. Defaults to ``NAME.enhanced.EXT``
            beside the source.
        config: How the picture is enhanced.
        **settings: Single settings by name, such as ``strength=0.8`` or, for a path,
            ``overwrite=True``. They replace those of `config`.

    Returns:
        An object of the same kind; for a path, the path of the result.

    Raises:
        CrsrError: The file cannot be enhanced, or a setting cannot be used.
        ValueError: `picture` is neither a path, an array nor a Pillow image.

    Example:
        >>> enhance_image("photo.jpg", strength=0.8).name
        'photo.enhanced.jpg'
    """
    if isinstance(picture, (str, Path)):
        if Path(picture).is_file() and not still_files.is_still(picture):
            raise InputError(f"{picture}: is not a still picture: use `enhance` for videos")
        check_path(Path(picture))
        chosen = Config() if config is None else Config.from_options(**config.options())
        return enhance(picture, output, config=chosen.with_options(**settings)).output
    if output is not None:
        raise ValueError("`output` needs the path of a picture; arrays and images are returned")
    with Enhancer(config, **settings) as enhancer:
        return enhancer.enhance_image(picture)


def _to_caller(frame: Frame) -> Any:
    return conversion.as_rgb(frame) if frame.native is None else conversion.as_av(frame)


def _refuse_file_settings(config: EnhancerConfig) -> None:
    """Refuse settings that have no meaning without a file."""
    if not isinstance(config, Config):
        return
    usual = Config()
    for name in ("reading", "output", "job"):
        if getattr(config, name) != getattr(usual, name):
            raise ConfigError(f"`{name}` has settings of files, which an Enhancer does not take")
