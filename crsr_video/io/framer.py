"""Decoded pictures as frames: their time, their form, which way is up."""

from collections.abc import Callable
from fractions import Fraction

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from crsr_video.io import limits, pyav
from crsr_video.types import Frame

_UPRIGHT = (1, 0, 0, 0, 1, 0, 0, 0, 1)
"""Where there is no display matrix."""


class Framer:
    """Makes frames of what a decoder gives, in its order.

    Args: begin: seconds before which nothing is wanted; None: all is.
          shift: seconds that are subtracted from all times.
          form: (width, height, pixel format) that all are to have; None: the first one's.
          note: takes a line that the user should read.
    """

    def __init__(
        self,
        video: VideoStream,
        *,
        begin: Fraction | None,
        shift: Fraction,
        form: tuple[int, int, str] | None,
        note: Callable[[str], None],
    ) -> None:
        self._video, self._note = video, note
        self._base = video.time_base or Fraction(1, 1000)
        self._begin, self._shift, self._form = begin, shift, form
        # AVI only has the order of decoding: FFmpeg's presentation times are guesses, and wrong
        # for H.264; a decoded picture's own count grows evenly.
        self._counts = video.container.format.name == "avi"
        self._last: int | None = None
        self._matrix: tuple[int, ...] | None = None
        self.earliest: Fraction | None = None
        """Seconds; time of the first picture, wanted or not."""
        self.frames = 0
        self.concealed = 0
        """Frames that the decoder had to patch up."""
        self.made_up = 0
        """Pictures whose time was missing or ran backwards."""

    def frame(self, picture: VideoFrame) -> Frame | None:
        """Give a picture its time and form; None before the window."""
        pts = self._pts(picture)
        time = pts * self._base
        self.earliest = time if self.earliest is None else self.earliest
        if self._begin is not None and time < self._begin:
            return None
        self.frames += 1
        self.concealed += bool(picture.is_corrupt)
        rotation, interlaced = self._rotation(picture), pyav.field_order(picture)
        picture = self._conform(picture)
        picture.pts = pts - int(self._shift / self._base)
        picture.time_base = self._base
        for plane in (components := pyav.views(picture)):
            plane.flags.writeable = False
        return Frame(
            components,
            pyav.layout(picture, self._video.codec_context.codec.canonical_name),
            picture.pts,
            self._base,
            rotation,
            limits.aspect(self._video.sample_aspect_ratio),
            picture,
            interlaced=interlaced,
        )

    def _rotation(self, picture: VideoFrame) -> int:
        """Degrees; PyAV's own are wrong for a matrix that mirrors, which is asked for once."""
        if self._matrix is None:
            self._matrix = pyav.display_matrix(pyav.side_data(picture)) or _UPRIGHT
        if pyav.mirrors(self._matrix):
            return pyav.turn(self._matrix)
        return round(picture.rotation / 90) * 90 % 360

    def _pts(self, picture: VideoFrame) -> int:
        """Presentation time in ticks of the stream: increasing, and made up where it is missing."""
        pts, last = picture.pts, self._last
        if self._counts and picture.dts is not None:
            pts = picture.dts
        if pts is None and picture.dts is not None and (last is None or picture.dts > last):
            pts = picture.dts
        elif pts is None:
            rate = self._video.average_rate or Fraction(25)
            pts = 0 if last is None else last + max(1, round(1 / (rate * self._base)))
        if last is not None and pts <= last:
            pts = last + 1
        self.made_up += pts != picture.pts
        self._last = pts
        return pts

    def _conform(self, picture: VideoFrame) -> VideoFrame:
        """Convert what cannot be read natively, and what changes in the middle of the file."""
        name = pyav.nearest_native(picture.format.name)
        form = (picture.width, picture.height, name)
        self._form = self._form or form
        if form == self._form and name == picture.format.name:
            return picture
        if form != self._form:
            self._note(_changed(self._form, form))
        else:
            self._note(f"pixel format {picture.format.name} was converted to {name}")
        return pyav.convert(picture, self._form[2], self._form[:2])


def _changed(was: tuple[int, int, str], now: tuple[int, int, str]) -> str:
    """What happens to pictures of another form than the first, in words."""
    (width, height, kept), (new_width, new_height, name) = was, now
    if (width, height) == (new_width, new_height):
        return f"the pixel format changes from {kept} to {name} midway: converted to {kept}"
    stretched = width * new_height != height * new_width
    how = "scaled and stretched" if stretched else "scaled"
    return (
        f"the picture's size changes from {width}x{height} to {new_width}x{new_height} midway:"
        f" {how} to {width}x{height}"
    )
