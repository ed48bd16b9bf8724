"""Decodes the packets of one video stream to frames, and continues after damaged packets."""

import os
from collections.abc import Callable
from fractions import Fraction

from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import VideoFrame

from crsr_video.io import limits, picture_properties, pixel_formats, pyav
from crsr_video.io.container_facts import CropMargins
from crsr_video.io.damage import DamageDetector
from crsr_video.io.picture_properties import PictureFilter
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.types import Frame


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


Form = tuple[int, int, str, str, bool]
"""Width, height, pixel format and colour matrix of frames, and whether samples use the full range
of values."""

_MOST_THREADS = 8
"""Maximum number of decoding threads, because each one holds a frame or two in memory."""
_MOST_SLICE_THREADS = 4
"""Maximum number of threads that decode slices of one picture. More threads are not faster."""
_UPRIGHT = (1, 0, 0, 0, 1, 0, 0, 0, 1)
"""The identity matrix, which is assumed for a picture without a display matrix."""


def form_of(frame: Frame) -> Form:
    """Return the form of a frame."""
    layout = frame.layout
    return frame.width, frame.height, layout.name, layout.matrix, layout.full_range


class VideoDecoder:
    """Decodes the video of a connection, and counts and reports damage.

    Args:
        connection: The opened source.
        threads: Threads of the decoder, or 0 for as many as are useful.
        low_delay: Whether to return every picture as early as possible.
        like: Frame whose form all pictures are converted to. Defaults to the first frame.
        follows_changes: Whether each frame keeps the form of its picture instead, even if the form
            changes during the video.
        begin: Timestamp in ticks before which damage is not counted. By default, all damage is.
        note: Called with each notice for the user.
        lose: Called with each notice about a property of the video that the frames do not keep.
            Defaults to `note`.
    """

    def __init__(
        self,
        connection: SourceConnection,
        *,
        threads: int = 0,
        low_delay: bool = False,
        like: Frame | None = None,
        follows_changes: bool = False,
        begin: int | None = None,
        note: Callable[[str], None] = lambda _line: None,
        lose: Callable[[str], None] | None = None,
    ) -> None:
        self._video, self._context = connection.video, connection.decoder
        self._follows_changes, self._note, self._lose = follows_changes, note, lose or note
        self._form = None if like is None else form_of(like)
        self._like: VideoFrame | None = None if like is None else like.native
        self._rotated = None if like is None else like.rotation
        self._aspect: Fraction | None = None
        self._damage = DamageDetector(self._context.codec.canonical_name, begin)
        self._matrix: tuple[int, ...] | None = None
        self._raw_bytes = 0
        self.failed = 0
        """Number of packets that the decoder rejected."""
        self._cropper = Cropper(connection.facts.crop, note)
        self._prepare(threads, low_delay)

    def _prepare(self, threads: int, low_delay: bool) -> None:
        context = self._context
        if context.is_open:  # An earlier pass opened it.
            return
        most = _MOST_SLICE_THREADS if low_delay else _MOST_THREADS
        count = threads or min(os.cpu_count() or 1, most)
        count = limits.threads_for(count, context.width, context.height)
        context.thread_type = "SLICE" if low_delay else "AUTO"
        context.thread_count = 1 if context.is_hwaccel else count
        context.options = limits.stream_options()
        if low_delay and not context.has_b_frames:
            context.flags |= Flags.low_delay

    def decode(self, packet: Packet | None) -> list[VideoFrame]:
        """Return the pictures that a packet completes, or all remaining ones if it is None."""
        if packet is not None:
            self._damage.packet_sent(packet)
            if self._is_other_raw_size(packet):
                return []
        try:
            pictures = self._context.decode(packet)
        except EOFError:
            return []
        except FFmpegError as error:
            self.failed += 1
            self._note(f"damaged pictures were skipped: {pyav.reason(error)}")
            return []
        for picture in pictures:
            self._damage.picture_received(picture)
        return [self._cropper.cropped(picture) for picture in pictures]

    def finish(self) -> None:
        """Complete the damage count. Call this after all packets were decoded."""
        self._damage.finish()

    def report_damage(self) -> None:
        """Report the damage that was found to `note`."""
        for line in self._damage.notes:
            self._note(line)

    @property
    def damaged(self) -> int:
        """Number of packets that produced no picture."""
        return max(self.failed, self._damage.lost)

    @property
    def silently_concealed(self) -> int:
        """Number of damaged pictures that the decoder concealed without marking them."""
        return self._damage.concealed

    def _is_other_raw_size(self, packet: Packet) -> bool:
        """Return whether a packet holds a raw picture that is larger than the first one.

        This happens when a second stream follows the first one in a pipe. The decoder would mistake
        part of such a packet for a whole picture, because raw video does not state its frame size.
        """
        if self._context.name != "rawvideo":
            return False
        self._raw_bytes = self._raw_bytes or packet.size
        if packet.size <= self._raw_bytes:
            return False
        self.failed += 1
        self._note("raw pictures of another size follow midway: they are left out")
        return True

    def frame(self, picture: VideoFrame, pts: int, time_base: Fraction) -> Frame:
        """Convert a picture to a frame of the requested form.

        Args:
            picture: The decoded picture, which the frame owns afterwards.
            pts: Timestamp of the frame.
            time_base: Seconds per tick of `pts`.
        """
        name = pixel_formats.nearest_native(picture.format.name)
        layout = pyav.layout(picture, name=name)
        form = (picture.width, picture.height, name, layout.matrix, layout.full_range)
        if self._form is None or (form != self._form and self._follows_changes):
            self._form, self._matrix, self._like = form, None, picture
        rotation, interlaced = self._rotation(picture), picture_properties.field_order(picture)
        self._check_changes(rotation)
        picture = self._converted(picture, form, self._form)
        picture.pts, picture.time_base = pts, time_base
        for plane in (components := pyav.views(picture)):
            plane.flags.writeable = False
        return Frame(
            components,
            pyav.layout(picture, self._context.codec.canonical_name),
            pts,
            time_base,
            rotation,
            limits.aspect(self._video.sample_aspect_ratio),
            picture,
            interlaced=interlaced,
        )

    def _rotation(self, picture: VideoFrame) -> int:
        """Return the rotation in degrees. PyAV's value is wrong if the display matrix mirrors."""
        if self._matrix is None:
            self._matrix = (
                picture_properties.display_matrix(picture_properties.side_data(picture)) or _UPRIGHT
            )
        if picture_properties.mirrors(self._matrix):
            return picture_properties.turn(self._matrix)
        return round(picture.rotation / 90) * 90 % 360

    def _check_changes(self, rotation: int) -> None:
        """Report changes of the pixel shape and of the rotation, which an output cannot follow."""
        if self._follows_changes:
            return
        aspect = limits.aspect(self._context.sample_aspect_ratio)
        if self._aspect is None:
            self._aspect = aspect
        if self._rotated is None:
            self._rotated = rotation
        if aspect != self._aspect:
            self._lose(
                f"the shape of pixels changes from {_ratio(self._aspect)} to {_ratio(aspect)}"
                " midway: the first one is kept"
            )
        if rotation != self._rotated:
            self._lose(
                f"the rotation changes from {self._rotated} to {rotation} degrees midway: the"
                " first one is kept"
            )

    def _converted(self, picture: VideoFrame, form: Form, wanted: Form) -> VideoFrame:
        """Convert a picture that lacks the requested form or cannot be read natively."""
        name = picture.format.name
        if form != wanted:
            self._lose(_change(wanted, form))
        elif form[2] != name:
            self._note(f"pixel format {name} was converted to {form[2]}")
        else:
            return picture
        if form[2:] == wanted[2:] or self._like is None:
            return pyav.convert(picture, wanted[2], wanted[:2])
        return pyav.convert_colours(picture, wanted[2], wanted[:2], wanted[3:], self._like)


def _ratio(aspect: Fraction) -> str:
    return f"{aspect.numerator}:{aspect.denominator}"


def _change(old: Form, new: Form) -> str:
    """Describe a change of form in the middle of a video, and how pictures are converted."""
    width, height, kept, matrix, full = old
    new_width, new_height, name, new_matrix, new_full = new
    if (width, height) != (new_width, new_height):
        is_stretched = width * new_height != height * new_width
        how = "scaled and stretched" if is_stretched else "scaled"
        return (
            f"the picture's size changes from {width}x{height} to {new_width}x{new_height} midway:"
            f" {how} to {width}x{height}"
        )
    if kept != name:
        return f"the pixel format changes from {kept} to {name} midway: converted to {kept}"
    if matrix != new_matrix:
        return f"the colours change from {matrix} to {new_matrix} midway: converted to {matrix}"
    was, is_now = ("full" if value else "limited" for value in (full, new_full))
    return f"the range of colours changes from {was} to {is_now} midway: converted to {was}"
