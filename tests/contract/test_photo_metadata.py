"""Metadata of still pictures: profiles, orientation, and tables of JPEG files."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from crsr_video.io import image_writing, images
from tests.support.photos import (
    EXIF,
    MAKER,
    ORIENTATION,
    PROFILE,
    TAKEN,
    assert_only_the_face_changed,
    enhance,
    error_of,
    exif,
    opened,
    pixels,
)

pytestmark = pytest.mark.usefixtures("face_models")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
UPRIGHT = (slice(0, 230), slice(180, 480))
"""Part of the frame that holds the whole face and its surroundings."""


# Metadata ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("output", [None, "b.tif", "b.jpg", "b.png", "b.webp"])
def test_metadata_are_kept_also_in_another_format(
    portrait: NDArray[np.uint8], tmp_path: Path, name: str, output: str | None
) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    extra = {"pnginfo": info} if name == "a.png" else {"xmp": XMP}
    source = tmp_path / name
    picture = Image.fromarray(portrait[UPRIGHT])
    picture.save(source, exif=exif(), icc_profile=PROFILE, **extra)
    still = images.read(source)
    data = image_writing.encode(
        still, still.frame, image_writing.format_of(tmp_path / (output or name))
    )
    result = tmp_path / f"result{Path(output or name).suffix}"
    result.write_bytes(data)
    image = opened(result)
    assert image.info["icc_profile"] == PROFILE
    assert images.read(result).xmp == XMP
    assert image.getexif()[MAKER] == "Camera"
    assert image.getexif().get_ifd(EXIF)[TAKEN] == "2020:01:02 03:04:05"


def test_a_jpeg_keeps_its_tables_sampling_and_segments(
    portrait: NDArray[np.uint8], tmp_path: Path
) -> None:
    source = tmp_path / "photo.jpg"
    Image.fromarray(portrait).save(
        source, quality=83, subsampling="4:2:2", progressive=True, exif=exif(), comment=b"hello",
        dpi=(300, 300),
    )  # fmt: skip
    data = source.read_bytes()
    note = b"Photoshop 3.0\0something"
    source.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(note) + 2) + note + data[2:])
    before, after = opened(source), opened(enhance(source))
    assert after.quantization == before.quantization
    assert after.info["comment"] == b"hello"
    assert after.info["dpi"] == (300, 300)
    assert after.info["exif"] == before.info["exif"]
    assert note in (tmp_path / "photo.enhanced.jpg").read_bytes()
    assert after.info.get("progressive")
    difference = np.abs(pixels(source) - pixels(tmp_path / "photo.enhanced.jpg"))
    assert difference[:, :100].mean() < 0.5  # Encoded again with the same tables.
    assert difference.max() > 3


def test_the_orientation_is_kept_and_the_face_is_found(
    portrait: NDArray[np.uint8], tmp_path: Path
) -> None:
    source = tmp_path / "phone.png"
    Image.fromarray(np.rot90(portrait)).save(source, exif=exif(6))
    result = enhance(source)
    assert opened(result).getexif()[ORIENTATION] == 6
    assert_only_the_face_changed(pixels(source), pixels(result))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_orientation_of_a_deep_picture_is_kept(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(3).integers(0, 65536, (40, 60, 3), np.uint16)
    data = exif(6).tobytes().removeprefix(b"Exif\0\0")
    still = replace(images.from_array(deep), exif=data)
    source = tmp_path / f"photo{suffix}"
    source.write_bytes(image_writing.encode(still, still.frame, image_writing.format_of(source)))
    for _ in range(2):
        again = images.read(source)
        assert again.frame.rotation == 270
        np.testing.assert_array_equal(image_writing.to_pixels(again, again.frame), deep)
        source.write_bytes(image_writing.encode(again, again.frame, again.format))


def test_only_the_listed_formats_are_opened(tmp_path: Path) -> None:
    source = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 64)).save(source, format="PPM")
    assert "is damaged, or no picture" in error_of(source)


def test_chunks_of_a_png_that_are_safe_to_copy_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "wall.png"
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(source, dpi=(200, 200))
    data, private = source.read_bytes(), b"prVt\1\2\3"
    chunk = struct.pack(">I", 3) + private + struct.pack(">I", zlib.crc32(private))
    source.write_bytes(data[:33] + chunk + data[33:])
    still = images.read(source)
    result = image_writing.encode(still, still.frame, "PNG")
    assert chunk in result
    assert b"pHYs" in result
