"""Every picture in the size, pixel format and colour that a sink was opened with."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from crsr_video.imaging.colour import MATRIX_CODES, matrix_name
from crsr_video.io import pyav
from crsr_video.types import FieldOrder, PixelLayout

_SWSCALE = {"bt601": "ITU601", "bt709": "ITU709", "bt2020": "BT2020", "fcc": "FCC"}
_SWSCALE |= {"smpte240m": "SMPTE240M"}
_BY_CODE = {MATRIX_CODES[name]: code for name, code in _SWSCALE.items()} | {6: "ITU601"}
_FULL, _LIMITED = 2, 1
"""AVCOL_RANGE_JPEG and AVCOL_RANGE_MPEG."""
_FLAGS = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)


@dataclass(frozen=True, slots=True)
class Shape:
    """What pictures look like that go into an encoder."""

    width: int
    height: int
    pixel_format: str
    matrix: str = "bt709"
    """One of `colour.MATRICES`; meaningless for RGB and gray."""
    full_range: bool = False
    sample_aspect: Fraction = Fraction(1)
    x_cosited: bool = True
    """As in `PixelLayout`."""
    interlaced: FieldOrder = "progressive"
    """As pictures are to be marked, if they come as they are to go."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def shape_for(layout: PixelLayout, pixel_format: str, size: tuple[int, int]) -> Shape:
    """The shape of pictures in another pixel format that keep matrix and range where they can.

    Args: layout: of the pictures that come. size: width and height.
    """
    new = pyav.pixel_format(pixel_format)
    matrix, full = layout.matrix, layout.full_range
    if new is not None and new.family == "yuv" and layout.family != "yuv":
        matrix, full = matrix_name(2, *size), pixel_format.startswith("yuvj")
    elif new is not None and new.family == "rgb":
        full = True
    return Shape(*size, pixel_format, matrix, full, x_cosited=layout.x_cosited)


class Fitter:
    """Brings pictures into one shape, those that have it untouched."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._family = (pyav.pixel_format(shape.pixel_format) or _UNKNOWN).family

    def fit(self, picture: VideoFrame, aspect: Fraction = Fraction(1)) -> VideoFrame:
        """The picture in this shape: scaled as a whole, with black where it has other proportions.

        Args: aspect: width of the picture's pixels over their height.
        """
        size = picture.width, picture.height
        if self._is_crop(size):
            picture = _cropped(picture, *self.shape.size)
        elif size != self.shape.size:
            return self._letterboxed(picture, aspect)
        return self._converted(picture, self.shape.size)

    def _is_crop(self, size: tuple[int, int]) -> bool:
        """A row or a column too many, which an encoder would not take."""
        less = size[0] - self.shape.width, size[1] - self.shape.height
        return less != (0, 0) and set(less) <= {0, 1}

    def _same_colour(self, picture: VideoFrame) -> bool:
        if self._family == "rgb":
            return True
        full = is_full(picture)
        if self._family == "gray":
            return full == self.shape.full_range
        matrix = matrix_name(int(picture.colorspace), picture.width, picture.height)
        return full == self.shape.full_range and matrix == self.shape.matrix

    def _converted(self, picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
        old, new = (pyav.pixel_format(n) for n in (picture.format.name, self.shape.pixel_format))
        if size == (picture.width, picture.height) and self._same_colour(picture):
            if picture.format.name == self.shape.pixel_format:
                return picture
            if old and new and old.same_codes(new):
                return pyav.convert(picture, self.shape.pixel_format)
        result = picture.reformat(
            *size,
            self.shape.pixel_format,
            interpolation=_FLAGS,
            threads=1,
            **self._colours(picture),
        )
        if self._family == "yuv" and picture.colorspace not in _BY_CODE:
            result.colorspace = MATRIX_CODES[self.shape.matrix]
        return result

    def _colours(self, picture: VideoFrame) -> dict[str, Any]:
        """What swscale has to know of both sides."""
        family = (pyav.pixel_format(picture.format.name) or _UNKNOWN).family
        colours: dict[str, Any] = {
            "src_color_range": _FULL if is_full(picture) or family == "rgb" else _LIMITED,
            "dst_color_range": _FULL if self.shape.full_range else _LIMITED,
        }
        if family == "yuv":
            matrix = matrix_name(int(picture.colorspace), picture.width, picture.height)
            colours["src_colorspace"] = _SWSCALE[matrix]
        if self._family == "yuv":
            colours["dst_colorspace"] = _SWSCALE[self.shape.matrix]
        elif family == "yuv":
            colours["dst_colorspace"] = colours["src_colorspace"]
        return colours

    def _letterboxed(self, picture: VideoFrame, aspect: Fraction) -> VideoFrame:
        shape = self.shape
        proportion = Fraction(picture.width, picture.height) * aspect / shape.sample_aspect
        width = min(shape.width, round(shape.height * proportion))
        height = min(shape.height, round(shape.width / proportion))
        width, height = max(2, width & ~1), max(2, height & ~1)  # Whole chroma samples.
        if shape.width - width < 2 and shape.height - height < 2:
            return self._converted(picture, shape.size)
        small = self._converted(picture, (width, height))
        canvas = black(shape)
        x, y = (shape.width - width) // 2 & ~3, (shape.height - height) // 2 & ~3
        for target, source in zip(
            pyav.views(canvas, alpha=True), pyav.views(small, alpha=True), strict=True
        ):
            # Chroma planes are smaller by a whole factor.
            fx, fy = shape.width // target.shape[1], shape.height // target.shape[0]
            h, w = source.shape
            target[y // fy : y // fy + h, x // fx : x // fx + w] = source
        pyav.copy_colour(small, canvas)
        canvas.duration = picture.duration
        return canvas


def is_full(picture: VideoFrame) -> bool:
    """Whether a picture's codes use the whole range."""
    name = picture.format.name
    if int(picture.color_range) == 0 and name.startswith("gray"):
        return True  # As swscale takes it.
    return name.startswith("yuvj") or int(picture.color_range) == _FULL


def black(shape: Shape) -> VideoFrame:
    """A black, opaque picture."""
    picture = pyav.blank(shape.width, shape.height, shape.pixel_format)
    fmt = pyav.pixel_format(shape.pixel_format) or _UNKNOWN
    unit = 1 << (fmt.bits - 8)
    dark = 0 if shape.full_range or fmt.family == "rgb" else 16 * unit
    for index, view in enumerate(pyav.views(picture)):
        view[...] = 128 * unit if fmt.family == "yuv" and index else dark
    return picture


def _cropped(picture: VideoFrame, width: int, height: int) -> VideoFrame:
    """Without the last row or column."""
    result = VideoFrame(width, height, picture.format.name)
    pairs = zip(pyav.views(result, alpha=True), pyav.views(picture, alpha=True), strict=True)
    for target, source in pairs:
        target[...] = source[: target.shape[0], : target.shape[1]]
    pyav.copy_colour(picture, result)
    result.duration = picture.duration
    return result


_UNKNOWN = pyav.PixelFormat("", "yuv", 8, 8, 0, 0, ())
