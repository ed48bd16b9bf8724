"""Still pictures at the command line: changed pixels, and refused inputs and options."""

import json
import logging
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from crsr_video.errors import CrsrError
from crsr_video.io import image_writing, images, still_files
from tests.support.cli import run
from tests.support.paths import PORTRAIT
from tests.support.photos import (
    PROFILE,
    assert_only_the_face_changed,
    enhance,
    error_of,
    exif,
    opened,
    pixels,
)

pytestmark = pytest.mark.usefixtures("face_models")


# Lossless formats --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
def test_every_pixel_outside_the_faces_of_a_lossless_picture_is_kept(
    portrait: NDArray[np.uint8], tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / f"photo{suffix}"
    Image.fromarray(portrait).save(source, **({"lossless": True} if suffix == ".webp" else {}))
    result = enhance(source)
    assert opened(result).format == opened(source).format
    assert_only_the_face_changed(pixels(source), pixels(result))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_and_alpha_are_kept(
    portrait: NDArray[np.uint8], tmp_path: Path, suffix: str
) -> None:
    deep = portrait.astype(np.uint16) * 257 ^ 5
    alpha = np.tile(np.arange(portrait.shape[1], dtype=np.uint16) * 97, (portrait.shape[0], 1))
    still = images.from_array(np.dstack([deep, alpha]))
    source = tmp_path / f"photo{suffix}"
    source.write_bytes(image_writing.encode(still, still.frame, image_writing.format_of(source)))
    result = enhance(source)
    written = cv2.imread(str(result), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written[..., 3], alpha)
    assert_only_the_face_changed(pixels(source), pixels(result))


def test_an_enlarged_picture_has_enlarged_alpha(
    portrait: NDArray[np.uint8], tmp_path: Path
) -> None:
    height, width = portrait.shape[:2]
    alpha = np.full((height, width), 77, np.uint8)
    source = tmp_path / "photo.png"
    Image.fromarray(np.dstack([portrait, alpha])).save(source)
    result = opened(enhance(source, "--scale", "2"))
    assert result.size == (2 * width, 2 * height)
    assert np.all(np.asarray(result)[..., 3] == 77)


def test_a_picture_without_faces_is_copied_byte_by_byte(tmp_path: Path) -> None:
    source = tmp_path / "wall.jpg"
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(source, quality=61)
    result = run("enhance", source)
    assert "No face was found" in result.stderr
    assert (tmp_path / "wall.enhanced.jpg").read_bytes() == source.read_bytes()


# Outputs and settings ----------------------------------------------------------------------------


def test_an_existing_result_is_kept_without_overwrite(tmp_path: Path) -> None:
    source = tmp_path / "wall.png"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(source)
    (tmp_path / "wall.enhanced.png").write_bytes(b"precious")
    assert "--overwrite" in error_of(source)
    assert (tmp_path / "wall.enhanced.png").read_bytes() == b"precious"
    assert run("enhance", source, "--overwrite").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["wall.enhanced.png", "wall.png"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--start", "1"], "--start"),
        (["--duration", "1"], "--duration"),
        (["--codec", "libx264"], "--codec"),
        (["--crf", "20"], "--crf"),
        (["--resume"], "--resume"),
        (["--tracks", "x.json"], "--tracks"),
    ],
)
def test_options_of_videos_are_refused_for_pictures_in_one_line(
    tmp_path: Path, words: list[str], name: str
) -> None:
    source = tmp_path / "wall.jpg"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(source)
    assert f"{name} is for videos, and this is a picture" in error_of(source, *words, code=2)
    assert [p.name for p in tmp_path.iterdir()] == ["wall.jpg"]


def test_damaged_and_giant_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    assert "broken.jpg: is damaged" in error_of(broken)
    cut = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:4000])
    assert "cut.png: is damaged" in error_of(cut)
    for width, height in ((20000, 20), (12000, 12000), (60000, 60000)):
        bomb = tmp_path / "bomb.png"
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT\x35\xaf\x06\x1e")
        assert "too large" in error_of(bomb)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".avif"])
def test_damage_anywhere_is_an_input_error(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "PIL")  # As the command line does.
    random = np.random.default_rng(11)
    path = tmp_path / f"photo{suffix}"
    noise = random.integers(0, 256, (24, 32, 3), np.uint8)
    extra = {} if suffix == ".bmp" else {"exif": exif(6), "icc_profile": PROFILE}
    Image.fromarray(noise).save(path, **extra)
    whole, refused = path.read_bytes(), 0
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), 600), 4):
            data[place] = random.integers(256)
        path.write_bytes(data)
        try:
            image = images.read(path)
            image_writing.encode(image, image.frame, "PNG")
        except CrsrError:
            refused += 1
    assert refused > 0


def test_a_picture_becomes_no_video_and_a_wrong_mode_is_named(tmp_path: Path) -> None:
    source = tmp_path / "print.jpg"
    Image.new("CMYK", (64, 64)).save(source)
    assert "CMYK picture: convert it to RGB" in error_of(source)
    assert "pictures are written as" in error_of(source, "-o", tmp_path / "out.mp4")


def test_alpha_that_is_lost_is_said_and_strict_refuses_it(tmp_path: Path) -> None:
    source = tmp_path / "wall.png"
    Image.new("RGBA", (64, 64), (90, 90, 90, 50)).save(source)
    words = [source, "-o", tmp_path / "wall.jpg"]
    assert "transparency" in error_of(*words, "--strict")
    assert "note: JPEG has no transparency" in run("enhance", *words).stderr


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_stays_a_video(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (64, 64), (40 * i, 90, 90)) for i in range(4)]
    path = tmp_path / f"moving{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    assert not still_files.is_still(path)


@pytest.mark.processes
def test_a_folder_may_mix_photos_and_videos(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "a.jpg")
    (folder / "b.png").write_bytes(b"nothing")
    shutil.copy(PORTRAIT, folder / "c.mp4")
    words = ["--recursive", folder, "-o", tmp_path / "out", "--model", "identity"]
    words += ["--duration", "0.2", "--preset", "ultrafast", "--json"]
    first = [json.loads(line) for line in run("enhance", *words).stdout.splitlines()]
    assert [e["event"] for e in first if e["event"] in ("summary", "error")].count("error") == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "c.mp4"]
    again = [json.loads(line) for line in run("enhance", *words).stdout.splitlines()]
    assert [e["event"] for e in again].count("skipped") == 2
