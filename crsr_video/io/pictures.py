"""Make pictures from frames, and convert them to the shape that an encoder expects.

Frames are also converted from and to pictures of other libraries: NumPy arrays and PyAV frames.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from crsr_video.imaging.colour import MATRIX_CODES, matrix_name, to_rgb
from crsr_video.imaging.upscaling import enlarge_plane
from crsr_video.io import picture_properties, pixel_formats, pyav
from crsr_video.types import FieldOrder, Frame, PixelLayout

_FIELD_ORDER = {"top": 2, "bottom": 3}
"""AV_FIELD_TT and AV_FIELD_BB."""
_TAGGED_MATRICES = {MATRIX_CODES[name] for name in pyav.SWSCALE_MATRICES} | {6}
_UNKNOWN = pixel_formats.PixelFormat("", "yuv", 8, 8, 0, 0, ())


@dataclass(frozen=True, slots=True)
class PictureShape:
    """Size, pixel format and colour of the pictures that an encoder takes."""

    width: int
    height: int
    pixel_format: str
    """FFmpeg's name."""
    matrix: str = "bt709"
    """One of `colour.MATRICES`; ignored for RGB and gray."""
    full_range: bool = False
    """Whether codes use the whole range (JPEG) rather than 16 to 235."""
    sample_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    x_cosited: bool = True
    """See `PixelLayout`."""
    interlaced: FieldOrder = "progressive"
    """Field order with which pictures are marked, if the result can store it."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def shape_for(layout: PixelLayout, pixel_format: str, size: tuple[int, int]) -> PictureShape:
    """Return a shape in another pixel format, with the matrix and range of the frames if possible.

    Args:
        layout: Layout of the frames.
        pixel_format: FFmpeg's name of the format that is encoded.
        size: Width and height that are encoded.
    """
    new = pixel_formats.pixel_format(pixel_format)
    matrix, full = layout.matrix, layout.full_range
    if new is not None and new.family == "yuv" and layout.family != "yuv":
        matrix, full = matrix_name(2, *size), pixel_format.startswith("yuvj")
    elif new is not None and new.family == "rgb":
        full = True
    return PictureShape(*size, pixel_format, matrix, full, x_cosited=layout.x_cosited)


# From frames ------------------------------------------------------------------------------------


def picture_of(frame: Frame, first: Frame, shape: PictureShape) -> VideoFrame:
    """Return the picture to encode. It is the decoder's own unless edited or converted.

    Args:
        frame: The frame.
        first: The first frame of the source. Frames without a native picture get its colour tags.
        shape: Pixel format and range that are encoded.
    """
    picture, layout = own_picture(frame, first), frame.layout
    colours = shape.matrix, shape.full_range
    target = pixel_formats.pixel_format(shape.pixel_format) or _UNKNOWN
    are_yuv = layout.family == target.family == "yuv"
    if are_yuv and (layout.matrix, layout.full_range) != colours:
        size = picture.width, picture.height
        picture = pyav.convert_colours(picture, shape.pixel_format, size, colours, picture)
        picture.color_range = pyav.FULL_RANGE if shape.full_range else pyav.LIMITED_RANGE
        if layout.matrix != shape.matrix:
            picture.colorspace = MATRIX_CODES[shape.matrix]
    elif picture.format.name != shape.pixel_format:
        picture = pyav.convert(picture, shape.pixel_format)
    picture.pict_type = int(PictureType.NONE)  # The encoder chooses the picture type.
    return picture


def own_picture(frame: Frame, first: Frame | None = None) -> VideoFrame:
    """Return a picture in the frame's own pixel format, with the metadata of its native picture."""
    native = frame.native
    if native is None:
        picture = pyav.blank(frame.width, frame.height, frame.layout.name)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        if first is not None and first.native is not None:
            pyav.copy_colour(first.native, picture)
    elif (native.width, native.height) == (frame.width, frame.height):
        if not frame.edited:
            assert isinstance(native, VideoFrame)
            return native
        picture = pyav.copy(native)
    else:
        picture = _enlarged(native, frame)
    pyav.write(picture, frame.components)
    return picture


def _enlarged(native: VideoFrame, frame: Frame) -> VideoFrame:
    """Return a picture of the frame's size with the native one's alpha and side data."""
    try:
        picture = _scaled(native, frame.width, frame.height)
    except (FFmpegError, ValueError):  # A pixel format that swscale does not write.
        picture = pyav.blank(frame.width, frame.height, native.format.name)
    pyav.copy_colour(native, picture)
    picture.pts, picture.time_base = native.pts, native.time_base
    picture.duration = native.duration
    fmt = pixel_formats.pixel_format(native.format.name)
    if fmt is not None and fmt.alpha:
        small: Any = np.ascontiguousarray(pyav.views(native, alpha=True)[-1])
        large = enlarge_plane(small, frame.width // native.width)
        pyav.views(picture, alpha=True)[-1][...] = np.minimum(large, (1 << fmt.bits) - 1)
    return picture


def _scaled(native: VideoFrame, width: int, height: int) -> VideoFrame:
    """Scale with FFmpeg, which keeps the side data. The samples are replaced later."""
    scale = picture_properties.PictureFilter(("scale", f"{width}:{height}:flags=neighbor"))
    picture = scale(native)
    if picture is None or picture.format.name != native.format.name:
        raise ValueError(f"{native.format.name} cannot be scaled")
    picture.make_writable()
    return picture


# Into one shape ---------------------------------------------------------------------------------


class Fitter:
    """Converts pictures of any size and format to one shape, unless they have it already.

    A live output keeps its shape when its source changes.
    """

    def __init__(self, shape: PictureShape) -> None:
        self.shape = shape
        self._family = (pixel_formats.pixel_format(shape.pixel_format) or _UNKNOWN).family

    def fit(self, picture: VideoFrame, aspect: Fraction = Fraction(1)) -> VideoFrame:
        """Return the whole picture in this shape, with black bars if its proportions differ.

        Args:
            picture: The picture.
            aspect: Width of the picture's pixels over their height.
        """
        size = picture.width, picture.height
        if self._is_crop(size):
            picture = _cropped(picture, *self.shape.size)
        elif size != self.shape.size:
            return self._letterboxed(picture, aspect)
        return self._converted(picture, self.shape.size)

    def _is_crop(self, size: tuple[int, int]) -> bool:
        """Return whether the picture exceeds the shape by at most one row and one column."""
        surplus = size[0] - self.shape.width, size[1] - self.shape.height
        return surplus != (0, 0) and set(surplus) <= {0, 1}

    def _has_colour(self, picture: VideoFrame) -> bool:
        if self._family == "rgb":
            return True
        full = _is_full_range(picture)
        if self._family == "gray":
            return full == self.shape.full_range
        matrix = matrix_name(int(picture.colorspace), picture.width, picture.height)
        return full == self.shape.full_range and matrix == self.shape.matrix

    def _converted(self, picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
        old, new = (
            pixel_formats.pixel_format(n) for n in (picture.format.name, self.shape.pixel_format)
        )
        if size == (picture.width, picture.height) and self._has_colour(picture):
            if picture.format.name == self.shape.pixel_format:
                return picture
            if old and new and old.same_codes(new):
                return pyav.convert(picture, self.shape.pixel_format)
        result = picture.reformat(
            *size,
            self.shape.pixel_format,
            interpolation=pyav.SCALING_FLAGS,
            threads=1,
            **self._conversion(picture),
        )
        if self._family == "yuv" and picture.colorspace not in _TAGGED_MATRICES:
            result.colorspace = MATRIX_CODES[self.shape.matrix]
        return result

    def _conversion(self, picture: VideoFrame) -> dict[str, Any]:
        """Return the colour properties of both sides for swscale."""
        family = (pixel_formats.pixel_format(picture.format.name) or _UNKNOWN).family
        colours: dict[str, Any] = {
            "src_color_range": pyav.FULL_RANGE
            if _is_full_range(picture) or family == "rgb"
            else pyav.LIMITED_RANGE,
            "dst_color_range": pyav.FULL_RANGE if self.shape.full_range else pyav.LIMITED_RANGE,
        }
        if family == "yuv":
            matrix = matrix_name(int(picture.colorspace), picture.width, picture.height)
            colours["src_colorspace"] = pyav.SWSCALE_MATRICES[matrix]
        if self._family == "yuv":
            colours["dst_colorspace"] = pyav.SWSCALE_MATRICES[self.shape.matrix]
        elif family == "yuv":
            colours["dst_colorspace"] = colours["src_colorspace"]
        return colours

    def _letterboxed(self, picture: VideoFrame, aspect: Fraction) -> VideoFrame:
        shape = self.shape
        proportion = Fraction(picture.width, picture.height) * aspect / shape.sample_aspect
        width = min(shape.width, round(shape.height * proportion))
        height = min(shape.height, round(shape.width / proportion))
        width, height = max(2, width & ~1), max(2, height & ~1)  # Chroma samples stay whole.
        if shape.width - width < 2 and shape.height - height < 2:
            return self._converted(picture, shape.size)
        small = self._converted(picture, (width, height))
        canvas = _black(shape)
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


def _is_full_range(picture: VideoFrame) -> bool:
    name = picture.format.name
    if int(picture.color_range) == 0 and name.startswith("gray"):
        return True  # swscale assumes the same.
    return name.startswith("yuvj") or int(picture.color_range) == pyav.FULL_RANGE


def _black(shape: PictureShape) -> VideoFrame:
    """Return a black, opaque picture."""
    picture = pyav.blank(shape.width, shape.height, shape.pixel_format)
    fmt = pixel_formats.pixel_format(shape.pixel_format) or _UNKNOWN
    unit = 1 << (fmt.bits - 8)
    dark = 0 if shape.full_range or fmt.family == "rgb" else 16 * unit
    for index, view in enumerate(pyav.views(picture)):
        view[...] = 128 * unit if fmt.family == "yuv" and index else dark
    return picture


def _cropped(picture: VideoFrame, width: int, height: int) -> VideoFrame:
    """Return the picture without its last row or column."""
    result = VideoFrame(width, height, picture.format.name)
    pairs = zip(pyav.views(result, alpha=True), pyav.views(picture, alpha=True), strict=True)
    for target, source in pairs:
        target[...] = source[: target.shape[0], : target.shape[1]]
    pyav.copy_colour(picture, result)
    result.duration = picture.duration
    return result


# For the encoder --------------------------------------------------------------------------------


def describe_pictures(
    context: VideoCodecContext, shape: PictureShape, sample: VideoFrame, *, marks_fields: bool
) -> None:
    """Tell an encoder the size, pixel format and colour of the pictures that it will receive.

    Args:
        context: The encoder, before it is opened.
        shape: Shape of the pictures.
        sample: A picture with the same colour tags as the pictures to encode.
        marks_fields: Whether the encoder can mark interlaced pictures in its own stream.
    """
    context.width, context.height, context.pix_fmt = *shape.size, shape.pixel_format
    context.sample_aspect_ratio = shape.sample_aspect
    context.color_range = sample.color_range
    context.colorspace = _matrix_code(shape, sample)
    context.color_primaries = sample.color_primaries
    context.color_trc = sample.color_trc
    if shape.interlaced != "progressive":
        context.field_order = _FIELD_ORDER[shape.interlaced]
        if marks_fields:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me


def _matrix_code(shape: PictureShape, sample: VideoFrame) -> int:
    """Return the sample's matrix tag, or the shape's if the sample's means another matrix."""
    tag, fmt = int(sample.colorspace), pixel_formats.pixel_format(sample.format.name)
    if fmt is None or fmt.family != "yuv" or matrix_name(tag, *shape.size) == shape.matrix:
        return tag
    return MATRIX_CODES[shape.matrix]


_RGB = PixelLayout("rgb24", "rgb", 8, full_range=True)


def from_rgb(picture: NDArray[np.uint8], index: int) -> Frame:
    """Return a frame that shows an RGB picture and shares its memory.

    Args:
        picture: uint8 (H, W, 3) array.
        index: Number of the picture in its sequence, which becomes the timestamp of the frame.

    Raises:
        ValueError: The array has another shape or type, or is empty.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
    if 0 in picture.shape:
        raise ValueError("a picture must not be empty")
    return Frame(
        components=tuple(picture[..., channel] for channel in range(3)),
        layout=_RGB,
        pts=index,
        time_base=Fraction(1, 30),
    )


def as_rgb(frame: Frame) -> NDArray[np.uint8]:
    """Return a frame as a uint8 (H, W, 3) RGB array.

    Chroma planes of lower resolution are enlarged by repeating their samples.
    """
    height, width = frame.height, frame.width
    planes = [
        plane
        if plane.shape == (height, width)
        else np.repeat(
            np.repeat(plane, 1 << frame.layout.y_shift, 0), 1 << frame.layout.x_shift, 1
        )[:height, :width]
        for plane in frame.components
    ]
    stacked = np.stack(planes, -1)
    if frame.layout == _RGB:
        return stacked.astype(np.uint8, copy=False)
    rgb = to_rgb(stacked.astype(np.float32), frame.layout)
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def from_av(picture: Any) -> Frame:
    """Return a frame that shows an ``av.VideoFrame`` and shares its memory.

    Raises:
        ValueError: The pixel format cannot be read without a conversion.
    """
    return Frame(
        components=pyav.views(picture),
        layout=pyav.layout(picture),
        pts=picture.pts or 0,
        time_base=picture.time_base or Fraction(1, 30),
        rotation=round(picture.rotation / 90) * 90 % 360,
        native=picture,
        interlaced=picture_properties.field_order(picture),
    )


def as_av(frame: Frame) -> Any:
    """Return a frame as an ``av.VideoFrame``, with side data and alpha from its native picture."""
    return own_picture(frame)
