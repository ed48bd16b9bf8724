"""Tell still pictures from videos."""

from pathlib import Path

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
}
"""Pillow's names of the formats, by suffix."""


def is_still(path: str | Path) -> bool:
    """Return whether a file is a still picture, by its suffix; animated files are videos.

    A damaged or unreadable file with the suffix of a picture counts as a picture. A missing file
    does not.
    """
    place = Path(path)
    if place.suffix.lower() not in FORMATS or not place.is_file():
        return False
    if place.suffix.lower() not in (".png", ".webp", ".avif"):
        return True
    try:
        with place.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return True
    is_animated = b"acTL" in head if head.startswith(b"\x89PNG") else is_animated_webp(head)
    return not is_animated and head[8:12] != b"avis"


def is_animated_webp(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is an animated WebP file."""
    is_extended = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return is_extended and any(flags & 2 for flags in head[20:21])
