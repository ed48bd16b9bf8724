"""Photos for tests, and checks of enhanced ones."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from crsr_video.io import image_writing, images
from tests.support.cli import run

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER, ORIENTATION, EXIF, TAKEN = 271, 274, 34665, 36867


def exif(orientation: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[MAKER], made[ORIENTATION] = "Camera", orientation
    made.get_ifd(EXIF)[TAKEN] = "2020:01:02 03:04:05"
    return made


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
