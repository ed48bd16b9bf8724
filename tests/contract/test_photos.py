"""Still pictures at the command line and in Python: what changes, and what is kept."""

import io
import json
import logging
import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

import crsr_video
from crsr_video.cli import main
from crsr_video.errors import ConfigError, CrsrError, InputError
from crsr_video.io import image_writing, images, still_files
from crsr_video.track import face_models
from tests.support.paths import CLIPS

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER, ORIENTATION, EXIF, TAKEN = 271, 274, 34665, 36867
UPRIGHT = (slice(0, 230), slice(180, 480))
"""Part of the frame that holds the whole face and its surroundings."""


@pytest.fixture(scope="module", autouse=True)
def models() -> None:
    face_models.resolve_all()


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    with av.open(str(CLIPS / "portrait.mp4")) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def enhancer() -> crsr_video.Enhancer:
    return crsr_video.Enhancer(precision="fp32")


def exif(orientation: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[MAKER], made[ORIENTATION] = "Camera", orientation
    made.get_ifd(EXIF)[TAKEN] = "2020:01:02 03:04:05"
    return made


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def enhance(source: Path, *words: object, output: str | None = None) -> Path:
    """Enhance a picture at the command line, and return the path of the result."""
    path = source.with_name(output or f"{source.stem}.enhanced{source.suffix}")
    chosen = ["-o", path] if output else []
    result = run("enhance", source, "--precision", "fp32", *chosen, *words)
    assert result.exit_code == 0, result.stderr
    return path


def error_of(*words: object, code: int = 1) -> str:
    result = run("enhance", *words)
    assert result.exit_code == code, result.stderr
    lines = result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    assert lines[-1].startswith("crsr-video: error: ")
    return lines[-1]


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def pixels(path: Path) -> NDArray[np.int64]:
    image = images.read(path)
    return image_writing.to_pixels(image, image.frame).astype(np.int64)


def assert_only_the_face_changed(before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
    assert before.shape == after.shape
    changed = np.abs(before - after)
    assert changed.max() > 3
    outside = changed if changed.ndim == 2 else changed.max(2)
    outside = outside > 0
    rows, columns = np.flatnonzero(outside.any(1)), np.flatnonzero(outside.any(0))
    share = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / outside.size
    assert share < 0.5


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
def test_what_a_picture_cannot_have_is_refused_in_one_line(
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


def test_a_folder_may_mix_photos_and_videos(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "a.jpg")
    (folder / "b.png").write_bytes(b"nothing")
    shutil.copy(CLIPS / "portrait.mp4", folder / "c.mp4")
    words = ["--recursive", folder, "-o", tmp_path / "out", "--model", "identity"]
    words += ["--duration", "0.2", "--preset", "ultrafast", "--json"]
    first = [json.loads(line) for line in run("enhance", *words).stdout.splitlines()]
    assert [e["event"] for e in first if e["event"] in ("summary", "error")].count("error") == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "c.mp4"]
    again = [json.loads(line) for line in run("enhance", *words).stdout.splitlines()]
    assert [e["event"] for e in again].count("skipped") == 2


# Python ------------------------------------------------------------------------------------------


def test_an_array_an_image_and_a_path_come_back_as_their_kind(
    portrait: NDArray[np.uint8], tmp_path: Path, enhancer: crsr_video.Enhancer
) -> None:
    copy = portrait.copy()
    array = enhancer.enhance_image(portrait)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(portrait, copy)
    assert_only_the_face_changed(portrait.astype(np.int64), array.astype(np.int64))
    image = Image.fromarray(portrait)
    image.info["icc_profile"] = PROFILE
    result = enhancer.enhance_image(image)
    assert result.mode == "RGB"
    assert result.info["icc_profile"] == PROFILE
    np.testing.assert_array_equal(np.asarray(result), array)
    image.save(tmp_path / "photo.png")
    path = crsr_video.enhance_image(tmp_path / "photo.png", tmp_path / "b.png", precision="fp32")
    assert path == tmp_path / "b.png"
    np.testing.assert_array_equal(np.asarray(opened(path)), array)


def test_one_picture_after_another_is_enhanced_on_its_own(
    portrait: NDArray[np.uint8], enhancer: crsr_video.Enhancer
) -> None:
    first = enhancer.enhance_image(portrait)
    enhancer.enhance_image(np.zeros((64, 64), np.uint8))
    np.testing.assert_array_equal(enhancer.enhance_image(portrait), first)


def test_deep_gray_and_transparent_arrays_keep_shape_and_type(
    portrait: NDArray[np.uint8], enhancer: crsr_video.Enhancer
) -> None:
    deep = portrait.astype(np.uint16) * 257
    assert_only_the_face_changed(deep.astype(int), enhancer.enhance_image(deep).astype(int))
    gray = np.ascontiguousarray(portrait[..., 1])
    assert_only_the_face_changed(gray.astype(int), enhancer.enhance_image(gray).astype(int))
    alpha = np.full(gray.shape, 9, np.uint8)
    result = enhancer.enhance_image(np.dstack([portrait, alpha]))
    assert np.all(result[..., 3] == 9)


def test_settings_are_given_by_name_and_checked(portrait: NDArray[np.uint8]) -> None:
    with crsr_video.Enhancer(strength=0.0, model="identity") as enhancer:
        np.testing.assert_array_equal(enhancer.enhance_image(portrait), portrait)
    with pytest.raises(ConfigError, match="`strength` must lie"):
        crsr_video.Enhancer(strength=2)
    with pytest.raises(ConfigError, match="unknown setting 'strenght'"):
        crsr_video.enhance_image(portrait, strenght=1)  # codespell:ignore


def test_a_single_picture_given_as_frames_is_refused_at_once(
    portrait: NDArray[np.uint8], enhancer: crsr_video.Enhancer
) -> None:
    with pytest.raises(ValueError, match="enhance_image"):
        enhancer.enhance(portrait)
    with pytest.raises(ValueError, match="enhance_image"):
        enhancer.enhance(Image.fromarray(portrait))


def test_wrong_pictures_are_refused(
    portrait: NDArray[np.uint8], tmp_path: Path, enhancer: crsr_video.Enhancer
) -> None:
    for wrong in (
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
    ):
        with pytest.raises(ValueError, match="picture"):
            enhancer.enhance_image(wrong)
    with pytest.raises(ValueError, match="not list"):
        enhancer.enhance_image([1])
    enhancer.push(portrait)
    with pytest.raises(ValueError, match="inside a video"):
        enhancer.enhance_image(portrait)
    enhancer.reset()
    with pytest.raises(InputError, match="use `enhance` for videos"):
        crsr_video.enhance_image(CLIPS / "portrait.mp4")
    with pytest.raises(InputError, match="no such file"):
        crsr_video.enhance_image(tmp_path / "none.jpg")
