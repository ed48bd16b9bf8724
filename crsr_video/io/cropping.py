"""Crops pictures to the area that a player should show according to the container."""

from collections.abc import Callable
from fractions import Fraction

from av.video.frame import VideoFrame

from crsr_video.io.container_facts import CropMargins
from crsr_video.io.picture_properties import PictureFilter


class Cropper:
    """Crops the pictures of one video.

    The size and position of the result are rounded to even numbers of pixels, because a chroma
    sample may cover two pixels and cannot be split.

    Args:
        crop: The margins to cut off, or None to return all pictures as they are.
        note: Called with each notice for the user.
    """

    def __init__(self, crop: CropMargins | None, note: Callable[[str], None]) -> None:
        self._crop, self._note = crop, note
        self._size = (0, 0)
        self._filter: PictureFilter | None = None

    def cropped(self, picture: VideoFrame) -> VideoFrame:
        """Return a cropped copy of a picture, or the picture itself if there is nothing to crop."""
        if self._crop is None:
            return picture
        if self._size != (picture.width, picture.height):
            self._size = picture.width, picture.height
            self._filter = self._new_filter(self._crop, *self._size)
        result = None if self._filter is None else self._filter(picture)
        if result is None:
            return picture
        result.time_base = picture.time_base or Fraction(1, 1000)
        return result

    def _new_filter(
        self, crop: CropMargins, whole_width: int, whole_height: int
    ) -> PictureFilter | None:
        left, top = crop.left & ~1, crop.top & ~1
        width, height = whole_width - crop.left - crop.right, whole_height - crop.top - crop.bottom
        width, height = width + (width & 1), height + (height & 1)
        size = f"{whole_width}x{whole_height}"
        if width < 2 or height < 2 or left + width > whole_width or top + height > whole_height:
            self._note(f"the crop that the file asks for does not fit its pictures of {size}")
            return None
        self._note(f"pictures of {size} are cropped to {width}x{height}, as the file asks")
        # FFmpeg's crop filter only moves pointers within the old buffer. Encoders read whole blocks
        # and need samples that begin where a buffer begins, so the result is copied.
        return PictureFilter(("crop", f"{width}:{height}:{left}:{top}"), ("copy", ""))
