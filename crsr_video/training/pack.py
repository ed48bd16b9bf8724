"""Packs: files of aligned face crops, from which single pictures can be read.

A pack is a ZIP archive. ``index.json`` describes the pictures and how they were made, and
``crops/000000.webp`` and so on are the pictures, stored without further compression, so that a
picture is found by its offset. Packs with the same content are identical byte by byte.
"""

import hashlib
import json
import mmap
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crsr_video.errors import TrainingError
from crsr_video.files import replacing, writing
from crsr_video.types import Bytes

SUFFIX = ".pack"
INDEX = "index.json"
VERSION = 1
SIZES = {512: 250.0, 256: 125.0, 128: 62.0}
"""Side of the stored crop, and the least face width in pixels that fills it.

A canonical crop is 1.9 face widths, so a picture is enlarged by 8 % at most."""
LOSSLESS = 101
"""Quality above OpenCV's scale, for lossless WebP."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time of a ZIP archive. With the real time, equal packs would differ."""
_HEADER_BYTES = 30
"""Size of an entry's local header before its name. The last four bytes are two lengths."""
_VAL_PERCENT = 5


@dataclass(frozen=True)
class Prepared:
    """One picture of a pack."""

    file: str
    """Path of the picture or video below the source folder."""
    split: str
    """Name of the split, train or val."""
    kind: str
    """Real or synthetic according to the list of faces, or genuine if it was cut out of a video."""
    person: str
    size: int
    """Side of the stored crop in pixels."""
    row: int
    """Position among the pictures of its split and size."""
    sha256: str
    """Hash of the source file."""
    licence: str = ""
    """Licence according to the list of faces."""
    skin_ita: float | None = None
    """Skin tone, see `training.appearance`, or None if it was not measured."""
    iris_lightness: float | None = None
    """CIELAB lightness of the irises, or None if it was not measured."""
    iris_b: float | None = None
    """CIELAB b of the irises, or None if it was not measured."""


def split_of(name: str) -> str:
    """Return the split of a name: "val" for one in twenty, by its hash, and "train" otherwise."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return "val" if int.from_bytes(digest[:4], "big") % 100 < _VAL_PERCENT else "train"


def encode(picture: Bytes, quality: int) -> bytes:
    """Encode a uint8 (H, W, 3) RGB picture as WebP, of a quality from 1 to 100 or `LOSSLESS`."""
    written, data = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not written:
        raise TrainingError("OpenCV was built without WebP, which packs need")
    return bytes(data)


class PackWriter:
    """Adds pictures to a pack, see `new_pack`.

    Attributes:
        rows: Number of pictures by split and size.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.pictures: list[Prepared] = []
        self.rows: Counter[tuple[str, int]] = Counter()

    def add(self, entry: Prepared, data: bytes) -> None:
        """Add a picture that `encode` made. Its row is set here."""
        self._archive.writestr(_info(len(self.pictures)), data)
        key = entry.split, entry.size
        self.pictures.append(replace(entry, row=self.rows[key]))
        self.rows[key] += 1


@contextmanager
def new_pack(path: Path, parameters: Mapping[str, Any]) -> Iterator[PackWriter]:
    """Write a pack. The file gets its name only if the block ends without an error.

    Args:
        path: The pack to write. If this is a folder, the pack is ``faces.pack`` in it.
        parameters: Parameters of the preparation, which the index stores as JSON.

    Raises:
        TrainingError: The file cannot be written.
    """
    path = path / f"faces{SUFFIX}" if path.is_dir() else path
    with writing(path, TrainingError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            writer = PackWriter(archive)
            yield writer
            content = {
                "version": VERSION,
                "parameters": dict(parameters),
                "pictures": [asdict(entry) for entry in writer.pictures],
            }
            info = zipfile.ZipInfo(INDEX, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, json.dumps(content, separators=(",", ":")))


def _info(number: int) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"crops/{number:06d}.webp", _EPOCH)


class Pack:
    """An open pack. Any thread may read pictures."""

    pictures: list[Prepared]
    parameters: dict[str, Any]

    def __init__(self, path: Path) -> None:
        """Open a pack.

        Args:
            path: The file, or a folder that holds ``faces.pack``.

        Raises:
            TrainingError: There is no pack, or it is damaged.
        """
        self.path = path / f"faces{SUFFIX}" if path.is_dir() else path
        try:
            with self.path.open("rb") as file:
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                with zipfile.ZipFile(file) as archive:
                    content = json.loads(archive.read(INDEX))
                    entries = {entry.filename: entry for entry in archive.infolist()}
            if content["version"] != VERSION:
                raise TrainingError(
                    f"{self.path} is a pack of version {content['version']}, not {VERSION}"
                )
            self.parameters = content["parameters"]
            self.pictures = [Prepared(**entry) for entry in content["pictures"]]
            self._entries = [entries[_info(n).filename] for n in range(len(self.pictures))]
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(f"{path} holds no prepared faces: {reason}") from error
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise TrainingError(f"{path} holds no prepared faces, or damaged ones") from error

    def read(self, number: int) -> Bytes:
        """Return picture `number` of the index: uint8 (S, S, 3) RGB.

        Raises:
            TrainingError: The picture is damaged.
        """
        entry, size = self._entries[number], self.pictures[number].size
        start = entry.header_offset + _HEADER_BYTES
        lengths = self._memory[start - 4 : start]
        start += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        data = self._memory[start : start + entry.file_size]
        picture = None
        if zlib.crc32(data) == entry.CRC:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None or picture.shape != (size, size, 3):
            raise TrainingError(f"{self.path}: picture {number} is damaged")
        rgb: Bytes = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        return rgb
