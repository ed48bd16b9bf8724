"""Crops pictures to the area that their container says a player should show."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from av.video.frame import VideoFrame

from crsr_video.io import picture_properties
from crsr_video.io.container_facts import Crop


class Cropper:
    """Crops the pictures of one video.

    The size and position of the result are rounded to even numbers of pixels, because a chroma
    sample may cover two pixels and cannot be split.

    Args:
        crop: The margins to cut off, or None to return all pictures as they are.
        note: Called with each notice for the user.
    """

    def __init__(self, crop: Crop | None, note: Callable[[str], None]) -> None:
        self._crop, self._note = crop, note
        self._kind: tuple[object, ...] = ()
        self._graph: tuple[Any, Any, Any] | None = None

    def cropped(self, picture: VideoFrame) -> VideoFrame:
        """Return a cropped copy of a picture, or the picture itself if there is nothing to crop."""
        if self._crop is None:
            return picture
        base = picture.time_base or Fraction(1, 1000)
        kind = (picture.width, picture.height, picture.format.name, base)
        if self._graph is None or kind != self._kind:
            self._kind, self._graph = kind, self._new_graph(picture, self._crop)
        if self._graph is None:
            return picture
        _, source, sink = self._graph
        source.push(picture)
        result = sink.pull()
        assert isinstance(result, VideoFrame)
        result.time_base = base
        return result

    def _new_graph(self, picture: VideoFrame, crop: Crop) -> tuple[Any, Any, Any] | None:
        left, top = crop.left & ~1, crop.top & ~1
        width = picture.width - crop.left - crop.right
        height = picture.height - crop.top - crop.bottom
        width, height = width + (width & 1), height + (height & 1)
        size = f"{picture.width}x{picture.height}"
        if width < 2 or height < 2 or left + width > picture.width or top + height > picture.height:
            self._note(f"the crop that the file asks for does not fit its pictures of {size}")
            return None
        self._note(f"pictures of {size} are cropped to {width}x{height}, as the file asks")
        area = f"{width}:{height}:{left}:{top}"
        # FFmpeg's crop filter only moves pointers within the old buffer. Encoders read whole blocks
        # and need samples that begin where a buffer begins, so the result is copied.
        return picture_properties.filter_graph(picture, ("crop", area), ("copy", ""))
