"""Read still pictures from files, Pillow images and arrays as single frames.

    image = images.read(Path("photo.jpg"))
    data = image_writing.encode(image, enhanced_frame, "JPEG")

The pixels keep their orientation, depth and transparency.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from crsr_video.errors import InputError
from crsr_video.imaging.resampling import sample
from crsr_video.io import limits, pixel_formats, pyav
from crsr_video.io.clock import Timing
from crsr_video.io.destinations.address import file_destination
from crsr_video.io.encoders import EncoderChoice
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.pictures import PictureShape, own_picture
from crsr_video.io.sources.opening import check_path
from crsr_video.io.still_files import FORMATS
from crsr_video.types import Frame, PixelLayout, Plane, VideoInfo

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) for gray, (H, W, 2) for gray and alpha, (H, W, 3) for RGB, (H, W, 4) for RGB and alpha."""

MAX_BYTES = 2 << 30
"""Largest file that is read."""

_ROTATION = {3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90}
"""`Frame.rotation` by EXIF orientation; mirrored pictures are reduced to their rotation."""
_ORIENTATION = 274
_LAYOUTS = {
    ("gray", 8): PixelLayout("gray", "gray", 8, full_range=True),
    ("gray", 16): PixelLayout("gray16le", "gray", 16, full_range=True),
    ("rgb", 8): PixelLayout("rgb24", "rgb", 8, full_range=True),
    ("rgb", 16): PixelLayout("rgb48le", "rgb", 16, full_range=True),
}
DAMAGE = (
    *(OSError, ValueError, SyntaxError, LookupError, RuntimeError, TypeError, AttributeError),
    *(ArithmeticError, EOFError, struct.error, zlib.error),
)
"""Exceptions that Pillow raises for damaged files."""

LAYOUT_TAGS = frozenset(
    [
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
        *(322, 323, 324, 325, 330, 338, 339, 347, *range(512, 522), 529, 530, 531, 532),
    ]
)
"""Tags that describe how the pixels are stored."""
PROFILE_TAG, XMP_TAG = 34675, 700
DIRECTORY_TAGS = (34665, 34853)
"""Tags of the EXIF data and of the position (GPS), which are directories of their own."""


@dataclass(frozen=True, slots=True)
class StillImage:
    """A picture that was read, with all properties that its result keeps."""

    frame: Frame
    """The picture without its alpha."""
    alpha: Plane | None = None
    format: str = ""
    """Pillow's name of the file format, such as "JPEG". Empty where there was no file."""
    data: bytes = b""
    exif: bytes = b""
    """EXIF data, starting with their TIFF header."""
    profile: bytes = b""
    xmp: bytes = b""
    info: Mapping[Any, Any] = field(default_factory=dict)
    """Other properties of the picture that Pillow reports."""
    notices: tuple[str, ...] = ()
    """Notices about parts of the file that were not read."""


def describe(image: StillImage) -> VideoInfo:
    """Return the properties of a picture in the terms of videos."""
    frame, name = image.frame, image.format.lower()
    return VideoInfo(
        width=frame.width,
        height=frame.height,
        pixel_format=frame.layout.name,
        codec=name,
        container=name,
        rate=None,
        time_base=frame.time_base,
        frames=1,
        seconds=0.0,
    )


def plan(path: Path, name: str, frame: Frame) -> OutputPlan:
    """Return the output plan of a result, in the terms of videos.

    Args:
        path: Path of the result.
        name: Pillow's name of the format.
        frame: The finished frame.
    """
    layout = frame.layout.name
    return OutputPlan(
        destination=file_destination(path, name.lower()),
        choice=EncoderChoice(name.lower(), layout, {}),
        shape=PictureShape(frame.width, frame.height, layout, full_range=True),
        timing=Timing(frame.time_base, 1 / frame.time_base),
    )


# Reading ------------------------------------------------------------------------------------------


def read(path: Path) -> StillImage:
    """Read a picture.

    Raises:
        InputError: The file is missing, damaged, too large, or of a kind that is not supported.
    """
    check_path(path)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: is larger than {MAX_BYTES >> 30} GiB")
    data = path.read_bytes()
    with _explaining(path), _opened(path, data) as image:
        limits.check_size(path, *image.size)
        count = getattr(image, "n_frames", 1)
        notices = (f"only the first of {count} pictures is kept",) if count > 1 else ()
        pixels = _deep_pixels(image, data)
        if pixels is None:
            pixels = _pixels(image, str(path))
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        info = {**image.info, "quantization": getattr(image, "quantization", None)}
        if image.format in ("JPEG", "MPO"):
            info["subsampling"] = JpegImagePlugin.get_sampling(image)
        if image.format == "TIFF":
            info["tags"] = _tiff_tags(image)
        raw_exif = image.info.get("exif") or _exif_of_tags(exif)
        return StillImage(
            *_frame(pixels, orientation),
            format="JPEG" if image.format == "MPO" else image.format or "",
            data=data,
            exif=bytes(raw_exif).removeprefix(b"Exif\0\0"),
            profile=bytes(image.info.get("icc_profile") or b""),
            xmp=_xmp(image.info),
            info=info,
            notices=notices,
        )


def from_array(pixels: Pixels) -> StillImage:
    """Return an array as a picture, without copying it.

    Raises:
        ValueError: The array has an unsupported shape or type, or is empty.
    """
    shape = pixels.shape
    is_shape = pixels.ndim == 2 or (pixels.ndim == 3 and shape[2] in (3, 4))
    if not is_shape or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            "a picture is a uint8 or uint16 array (H, W), (H, W, 3) or (H, W, 4), "
            f"not {pixels.dtype} {shape}"
        )
    if 0 in shape:
        raise ValueError("a picture must not be empty")
    return StillImage(*_frame(pixels, 1))


def from_pillow(image: Image.Image) -> StillImage:
    """Return a Pillow image as a picture.

    Raises:
        ValueError: The image has a mode that is not supported.
    """
    try:
        pixels = _pixels(image, "the image")
    except InputError as error:
        raise ValueError(str(error)) from error
    return StillImage(*_frame(pixels, image.getexif().get(_ORIENTATION, 1)), info=dict(image.info))


def from_frame(frame: Frame) -> StillImage:
    """Return a frame of a video as an upright picture in RGB or gray.

    It has 16 bits a channel if the frame has more than 8, and the frame's transparency.
    """
    kind = np.uint16 if frame.layout.bits > 8 else np.uint8
    colours = sample(frame, np.eye(2, 3), frame.width, frame.height)
    channels = [colours[..., :1] if frame.layout.family == "gray" else colours]
    native = own_picture(frame)
    layout = pixel_formats.pixel_format(native.format.name)
    if layout is not None and layout.alpha:
        alpha: Any = pyav.views(native, alpha=True)[-1]
        channels = [colours, alpha[..., None] / np.float32((1 << layout.bits) - 1)]
    pixels = np.clip(np.concatenate(channels, 2), 0, 1) * np.iinfo(kind).max + 0.5
    upright: Any = np.rot90(pixels.astype(kind), frame.rotation // 90)
    return from_array(upright[..., 0] if upright.shape[2] == 1 else upright)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        most = f"up to {limits.MAX_PIXELS >> 20} million pixels"
        raise InputError(f"{path}: the picture is too large ({most})") from error
    except UnidentifiedImageError as error:
        if path.suffix.lower() in (".heic", ".heif"):
            text = f"{path}: reading HEIC needs the package pillow-heif"
            raise InputError(text) from error
        raise InputError(f"{path}: is damaged, or no picture") from error
    except DAMAGE as error:
        raise InputError(f"{path}: is damaged: {pyav.reason(error)}") from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress Pillow's warnings: sizes are checked here, and damage becomes an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(path: Path, data: bytes) -> Iterator[Image.Image]:
    if path.suffix.lower() in (".heic", ".heif"):
        add_heif()
    Image.init()
    formats = [name for name in set(FORMATS.values()) if name in Image.OPEN]
    with without_warnings(), Image.open(io.BytesIO(data), formats=formats) as image:
        yield image


def add_heif() -> None:
    """Let Pillow read and write HEIC if its plugin is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def _deep_pixels(image: Image.Image, data: bytes) -> Pixels | None:
    """Return the pixels of a PNG or TIFF file with 16 bits, which Pillow would cut to 8."""
    if image.format == "PNG":
        bits = data[24]
    elif image.format == "TIFF":
        stated = image.tag_v2.get(258, 1)  # type: ignore[attr-defined] # only of TIFF
        bits = max(stated) if isinstance(stated, tuple) else int(stated)
    else:
        return None
    if bits != 16:
        return None
    if image.format == "TIFF":
        data = _without_orientation(data)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.dtype != np.uint16 or {*found.shape[:2]} != {*image.size}:
        raise InputError(f"{image.format} pictures of this kind with 16 bits cannot be read")
    return swapped(found)


def _without_orientation(data: bytes) -> bytes:
    """Return a TIFF file with its orientation set to upright, since OpenCV would rotate it."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    if int.from_bytes(data[2:4], order) != 42:
        raise InputError("BigTIFF pictures with 16 bits cannot be read")
    first = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[first : first + 2], order)
    for place in range(first + 2, min(first + 2 + 12 * count, len(data) - 11), 12):
        if int.from_bytes(data[place : place + 2], order) == _ORIENTATION:
            upright = (1).to_bytes(2, order) + b"\0\0"
            return data[: place + 8] + upright + data[place + 12 :]
    return data


def swapped(pixels: Any) -> Pixels:
    """Exchange red and blue, to convert between RGB and OpenCV's BGR."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return np.ascontiguousarray(pixels)


def _pixels(image: Image.Image, name: str) -> Pixels:
    """Return the pixels of a Pillow image."""
    mode = image.mode
    has_alpha = "transparency" in image.info or mode in ("PA", "La", "RGBa")
    if mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        return np.asarray(image).astype(np.uint16, copy=False)
    if mode == "1":
        image = image.convert("L")
    elif mode in ("P", "PA", "RGB", "RGBa", "YCbCr"):
        image = image.convert("RGBA" if has_alpha else "RGB")
    elif mode in ("L", "La") and has_alpha:
        image = image.convert("LA")
    elif mode == "RGBX":
        image = image.convert("RGB")
    elif mode not in ("L", "LA", "RGBA"):
        kinds = {"CMYK": "a CMYK picture", "LAB": "a Lab picture", "F": "a floating-point picture"}
        kind = kinds.get(mode, f"a picture of mode {mode}")
        raise InputError(f"{name}: is {kind}: convert it to RGB with 8 or 16 bits first")
    return np.asarray(image)


def _frame(pixels: Pixels, orientation: int) -> tuple[Frame, Plane | None]:
    """Return the frame of a picture, and its alpha."""
    channels = [pixels] if pixels.ndim == 2 else [pixels[..., i] for i in range(pixels.shape[2])]
    alpha = channels.pop() if len(channels) in (2, 4) else None
    layout = _LAYOUTS["gray" if len(channels) == 1 else "rgb", 8 * pixels.itemsize]
    rotation = _ROTATION.get(orientation, 0)
    frame = Frame(tuple(channels), layout, 0, Fraction(1, 25), rotation=rotation)
    return frame, alpha


def _exif_of_tags(exif: Image.Exif) -> bytes:
    """Return the EXIF data of a TIFF file, without the tags of its pixels."""
    kept = Image.Exif()
    for number, value in exif.items():
        if number in DIRECTORY_TAGS:
            kept.get_ifd(number).update(exif.get_ifd(number))
        elif number not in (*LAYOUT_TAGS, PROFILE_TAG, XMP_TAG):
            kept[number] = value
    return kept.tobytes() if len(kept) else b""


def _xmp(info: Mapping[Any, Any]) -> bytes:
    found = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else bytes(found)


def _tiff_tags(image: Image.Image) -> list[tuple[int, int, Any]]:
    """Return the tags of a TIFF file that its result keeps: number, type and value."""
    tags = image.tag_v2  # type: ignore[attr-defined] # only of TIFF
    exif = image.getexif()
    found: list[tuple[int, int, Any]] = []
    for number, value in tags.items():
        if number in DIRECTORY_TAGS:
            found.append((number, 4, dict(exif.get_ifd(number))))
        elif number not in LAYOUT_TAGS:
            found.append((number, tags.tagtype[number], value))
    return found
