"""Write still pictures with the metadata of their sources.

A result in the format of its source keeps the metadata unchanged: segments of JPEG, chunks of PNG,
tags of TIFF. A result in another format gets the EXIF data, the colour profile and XMP, as far as
the format can hold them.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, TiffTags

from crsr_video.errors import OutputError
from crsr_video.imaging.upscaling import enlarge_plane
from crsr_video.io import pyav
from crsr_video.io.images import (
    DAMAGE,
    DIRECTORY_TAGS,
    LAYOUT_TAGS,
    PROFILE_TAG,
    XMP_TAG,
    Pixels,
    StillImage,
    add_heif,
    swapped,
    without_warnings,
)
from crsr_video.io.still_files import FORMATS
from crsr_video.types import Frame

_LOSSY_QUALITY = 95
"""Quality of lossy results, if the source does not state one. The loss is not visible."""


def format_of(path: Path) -> str:
    """Return Pillow's name of the format of a result, by its suffix.

    Raises:
        OutputError: Pictures of this kind are not written.
    """
    name = FORMATS.get(path.suffix.lower())
    if name == "HEIF":
        add_heif()
    if name is not None:
        Image.init()
    if name == "HEIF" and name not in Image.SAVE:
        raise OutputError(f"{path}: HEIC needs the package pillow-heif: install it, or write .jpg")
    if name is None or name not in Image.SAVE:
        raise OutputError(f"{path}: pictures are written as .jpg, .png, .webp, .tif, .bmp or .avif")
    return name


def losses(image: StillImage, name: str) -> tuple[str, ...]:
    """Return one sentence for each property of a picture that a format cannot hold."""
    found = []
    if image.alpha is not None and name == "JPEG":
        found.append("JPEG has no transparency: it is lost")
    if image.frame.layout.bits == 16 and name not in ("PNG", "TIFF"):
        found.append(f"{name} has 8 bits per channel here: 16 bits are rounded")
    if name == "BMP" and (image.exif or image.profile or image.xmp):
        found.append("BMP has no metadata: they are lost")
    return tuple(found)


def to_pixels(image: StillImage, frame: Frame) -> Pixels:
    """Return the array of a finished frame, with the alpha of its source."""
    planes: list[Any] = list(frame.components)
    if image.alpha is not None:
        alpha: Any = image.alpha
        if frame.width != image.frame.width:
            large = enlarge_plane(np.ascontiguousarray(alpha), frame.width // image.frame.width)
            alpha = np.minimum(large, (1 << frame.layout.bits) - 1).astype(planes[0].dtype)
        planes.append(alpha)
    stacked: Pixels = np.ascontiguousarray(planes[0] if len(planes) == 1 else np.stack(planes, -1))
    return stacked


def to_pillow(image: StillImage, frame: Frame) -> Image.Image:
    """Return a finished frame as a Pillow image with the properties of its source."""
    result = _as_pillow(to_pixels(image, frame))
    unusable = ("transparency", "background")  # The alpha channel holds the transparency.
    result.info = {key: value for key, value in image.info.items() if key not in unusable}
    return result


def encode(image: StillImage, frame: Frame, name: str) -> bytes:
    """Return the content of an image file with a finished frame.

    Args:
        image: The picture that was read.
        frame: The finished frame.
        name: Pillow's name of the format.

    Raises:
        OutputError: The format does not hold a picture of this kind.
    """
    pixels = to_pixels(image, frame)
    if pixels.dtype == np.uint16 and name not in ("PNG", "TIFF"):
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 2 and name not in ("PNG", "TIFF"):
        pixels = pixels[..., [0, 0, 0, 1]]
    writers = {"JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "WEBP": _webp, "BMP": _bmp}
    try:
        writer = writers.get(name)
        with without_warnings():
            if writer is not None:
                return writer(image, pixels)
            return _saved(_as_pillow(pixels), name, quality=_LOSSY_QUALITY, **_metadata(image))
    except DAMAGE as error:
        raise OutputError(f"cannot be written as {name}: {pyav.reason(error)}") from error


def _as_pillow(pixels: Pixels) -> Image.Image:
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return Image.fromarray(pixels)


def _saved(picture: Image.Image, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, name, **options)
    return file.getvalue()


def _saved_by_opencv(pixels: Pixels, suffix: str) -> bytes:
    encoded, data = cv2.imencode(suffix, swapped(pixels))
    if not encoded:
        raise OSError("the picture is too large")
    return data.tobytes()


def _metadata(image: StillImage) -> dict[str, Any]:
    """Return Pillow's options for the metadata of a picture."""
    exif = b"Exif\0\0" + image.exif if image.exif else b""
    found = {"exif": exif, "icc_profile": image.profile, "xmp": image.xmp}
    return {name: value for name, value in found.items() if value}


def _bmp(_: StillImage, pixels: Pixels) -> bytes:
    has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4  # Pillow does not write these.
    return _saved_by_opencv(pixels, ".bmp") if has_alpha else _saved(_as_pillow(pixels), "BMP")


def _webp(image: StillImage, pixels: Pixels) -> bytes:
    # A lossy picture chunk comes after the alpha chunk. A lossless one (VP8L) also holds the alpha,
    # so it comes at the beginning of the file.
    is_lossless = image.format != "WEBP" or b"VP8L" in image.data[:4096]
    is_lossless = is_lossless and image.format != "JPEG"
    options = {"lossless": True, "exact": True} if is_lossless else {"quality": _LOSSY_QUALITY}
    return _saved(_as_pillow(pixels), "WEBP", **options, **_metadata(image))


# JPEG ---------------------------------------------------------------------------------------------


def _jpeg(image: StillImage, pixels: Pixels) -> bytes:
    """Return a JPEG file with the tables and segments of a JPEG source, or else of high quality."""
    opaque: Any = np.ascontiguousarray(pixels[..., :3]) if pixels.ndim == 3 else pixels
    picture = _as_pillow(opaque)
    tables = image.info.get("quantization")
    if image.format != "JPEG" or not tables:
        options = {"quality": _LOSSY_QUALITY, "subsampling": 0, "optimize": True}
        return _saved(picture, "JPEG", **options, **_metadata(image))
    sampling = image.info["subsampling"]
    plain = _saved(
        picture,
        "JPEG",
        qtables=tables,
        subsampling=sampling if sampling >= 0 else 0,
        progressive=bool(image.info.get("progressive")),
        optimize=True,
    )
    kept = list(_jpeg_metadata(image.data))
    own = plain[2:]
    if kept and kept[0][:2] == b"\xff\xe0" and own[:2] == b"\xff\xe0":
        own = own[2 + int.from_bytes(own[2:4], "big") :]
    return plain[:2] + b"".join(kept) + own


def _jpeg_metadata(data: bytes) -> Iterator[bytes]:
    """Yield the application segments and comments before the picture, as they are.

    The index of further pictures (MPF) and Adobe's note on the colour transform are left out,
    because they do not apply to the result.
    """
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # A fill byte.
            place += 1
            continue
        if marker == 0xDA:
            return
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        is_index = marker == 0xE2 and data[place + 4 : place + 8] == b"MPF\0"
        if is_metadata and not is_index and marker != 0xEE:
            yield data[place:end]
        place = end


# PNG ----------------------------------------------------------------------------------------------

_KEPT_CHUNKS = (b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
"""Chunks that describe colours. Other chunks are copied if they are marked as safe to copy."""


def _png(image: StillImage, pixels: Pixels) -> bytes:
    """Return a PNG file with the metadata of the source."""
    if pixels.dtype == np.uint16:
        plain = _saved_by_opencv(pixels, ".png")
    else:
        plain = _saved(_as_pillow(pixels), "PNG")
    kept = _png_metadata(image)
    inside = [
        chunk for kind, chunk in _png_chunks(plain) if kind in (b"IHDR", b"IDAT", b"IEND", b"PLTE")
    ]
    return b"".join([plain[:8], inside[0], *kept, *inside[1:]])


def _png_metadata(image: StillImage) -> list[bytes]:
    if image.format == "PNG":
        return [
            chunk
            for kind, chunk in _png_chunks(image.data)
            if kind in _KEPT_CHUNKS or (kind[0] & 32 and kind[3] & 32 and kind != b"iDOT")
        ]
    made = []
    if image.profile:
        made.append(_png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(image.profile)))
    if image.exif:
        made.append(_png_chunk(b"eXIf", image.exif))
    if image.xmp:
        made.append(_png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + image.xmp))
    return made


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the bytes of each chunk that is complete."""
    place = 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            return
        yield data[place + 4 : place + 8], data[place:end]
        place = end


# TIFF ---------------------------------------------------------------------------------------------


def _tiff(image: StillImage, pixels: Pixels) -> bytes:
    """Return a TIFF file in one strip. Pillow cannot write RGB with 16 bits, but writes tags."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for number, kind, value in image.info.get("tags") or _made_tags(image):
        directory[number] = value
        directory.tagtype[number] = kind
    height, width = pixels.shape[:2]
    differences = np.diff(pixels, axis=1, prepend=pixels.dtype.type(0))
    strip = zlib.compress(differences.astype(pixels.dtype.newbyteorder("<")).tobytes())
    layout: dict[int, Any] = {
        256: width,
        257: height,
        258: (8 * pixels.itemsize,) * channels,
        259: 8,  # Deflate
        262: 1 if channels < 3 else 2,
        273: 0,
        277: channels,
        278: height,
        279: len(strip),
        317: 2,  # Differences of neighbours
    }
    if channels in (2, 4):
        layout[338] = 2  # Alpha that is not multiplied into the colours
    for number, value in layout.items():
        directory[number] = value
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + strip


def _made_tags(image: StillImage) -> Iterator[tuple[int, int, Any]]:
    """Yield tags with the metadata of another format."""
    exif = Image.Exif()
    exif.load(image.exif)
    for number, value in exif.items():
        if number not in LAYOUT_TAGS and number not in DIRECTORY_TAGS and value != "":
            kind = TiffTags.lookup(number).type
            if kind is not None:
                yield number, kind, value
    for number in DIRECTORY_TAGS:
        inside = dict(exif.get_ifd(number))
        if inside:
            yield number, 4, inside
    if image.profile:
        yield PROFILE_TAG, 7, image.profile
    if image.xmp:
        yield XMP_TAG, 1, image.xmp
