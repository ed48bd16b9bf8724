"""One file that holds aligned face crops: made once, carried anywhere, read a picture at a time.

A pack is a ZIP archive: ``index.json`` says what each picture is and how all were made, and
``crops/000000.webp`` and so on are the pictures, WebP and stored as they are. So any archiver
opens it, and a picture is found by its offset. Packs of the same content are equal byte by byte.
"""

import hashlib
import json
import mmap
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TrainingError
from crsr_video.files import publish, temporary_name

Bytes = NDArray[np.uint8]

SUFFIX = ".pack"
INDEX = "index.json"
VERSION = 1
LOSSLESS = 101
"""Quality above OpenCV's scale for WebP: every pixel comes back as it was."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can state; the real one would make equal packs differ."""
_HEADER = 30
"""Bytes of an entry's local header before its name; the last four are two lengths."""
PER_PICTURE = 250
"""About how many bytes a picture takes beside its own: headers, and its part of the index."""
_VAL_PERCENT = 5


class PackSizeError(TrainingError):
    """A pack would exceed the size that it was given."""


@dataclass(frozen=True)
class Prepared:
    """One picture of a pack."""

    file: str
    """Path of the picture or video below the source folder."""
    split: str
    kind: str
    """Real or synthetic, as the list of faces has it; genuine if cut from video as it is."""
    person: str
    size: int
    """Side of the stored crop in pixels."""
    row: int
    """Position among the pictures of its split and size."""
    sha256: str
    """Of the source file."""
    licence: str = ""
    """As the list of faces states it."""
    skin_ita: float | None = None
    """Skin tone, see `training.appearance`; None: it was not measured."""
    iris_lightness: float | None = None
    """CIELAB lightness of the irises, likewise."""
    iris_b: float | None = None
    """CIELAB b of the irises, likewise."""


def split_of(name: str) -> str:
    """Train or val, the latter for about one name in twenty; always the same for the same name."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return "val" if int.from_bytes(digest[:4], "big") % 100 < _VAL_PERCENT else "train"


def encode(picture: Bytes, quality: int) -> bytes:
    """WebP of a uint8 (H, W, 3) RGB picture; quality 1 to 100, or `LOSSLESS`."""
    written, data = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not written:
        raise TrainingError("OpenCV was built without WebP, which packs are made of")
    return bytes(data)


class PackWriter:
    """Writes a pack under a temporary name; it takes its place only when it is complete.

    To be used as a context manager; if that is left with an exception, nothing remains.
    """

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], *, limit: int | None = None
    ) -> None:
        """Begin.

        Args:   parameters: how the pictures are made; stored in the index as JSON.
                limit: bytes that the file must not exceed.
        Raises: TrainingError: the folder cannot be written to.
        """
        self._path, self._parameters, self._limit = path, parameters, limit
        self._part = temporary_name(path)
        self._pictures: list[Prepared] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        except OSError as error:
            raise self._failed(error) from error
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def add(self, entry: Prepared, data: bytes) -> None:
        """Add one picture, as `encode` makes it.

        Raises: TrainingError: the disk is full. PackSizeError: the pack is.
        """
        try:
            self._archive.writestr(_info(len(self._pictures)), data)
        except OSError as error:
            raise self._failed(error) from error
        self._pictures.append(entry)
        self._check_size()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish, or leave no trace. Raises TrainingError, as `add` does."""
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._discard()

    def _finish(self) -> None:
        content = {
            "version": VERSION,
            "parameters": dict(self._parameters),
            "pictures": [asdict(entry) for entry in self._pictures],
        }
        info = zipfile.ZipInfo(INDEX, _EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        self._archive.writestr(info, json.dumps(content, separators=(",", ":")))
        self._archive.close()
        self._check_size()
        self._file.close()
        publish(self._part, self._path)

    def _check_size(self) -> None:
        if self._limit is not None and self._file.tell() > self._limit:
            raise PackSizeError(f"{self._path} would exceed {self._limit / 2**20:.1f} MiB")

    def _discard(self) -> None:
        """Close and remove what was not finished."""
        try:
            # Closing an archive writes its directory, which may fail as what went before did.
            self._archive.fp = None
            self._file.close()
        except OSError:
            pass
        self._part.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> TrainingError:
        return TrainingError(f"cannot write {self._path}: {error.strerror or error}")


def _info(number: int) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"crops/{number:06d}.webp", _EPOCH)


class Pack:
    """A pack for reading: its index, and the pictures as they are asked for, by any thread."""

    pictures: list[Prepared]
    parameters: dict[str, Any]

    def __init__(self, path: Path) -> None:
        """Open it.

        Args:   path: the file, or a folder that holds ``faces.pack``.
        Raises: TrainingError: there is none, or it is damaged or something else.
        """
        self.path = path / f"faces{SUFFIX}" if path.is_dir() else path
        try:
            with self.path.open("rb") as file:
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                with zipfile.ZipFile(file) as archive:
                    content = json.loads(archive.read(INDEX))
                    entries = {entry.filename: entry for entry in archive.infolist()}
            self._check(content)
            self.parameters = content["parameters"]
            self.pictures = [Prepared(**entry) for entry in content["pictures"]]
            self._entries = [entries[_info(n).filename] for n in range(len(self.pictures))]
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(f"{path} holds no prepared faces: {reason}") from error
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise TrainingError(f"{path} holds no prepared faces, or damaged ones") from error

    def _check(self, content: Any) -> None:
        if content["version"] != VERSION:
            raise TrainingError(
                f"{self.path} is a pack of version {content['version']}, not {VERSION}"
            )

    def read(self, number: int) -> Bytes:
        """Picture `number` of the index: uint8 (S, S, 3) RGB.

        Raises: TrainingError: it is damaged.
        """
        entry, size = self._entries[number], self.pictures[number].size
        start = entry.header_offset + _HEADER
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


def read_index(path: Path) -> list[Prepared]:
    """The pictures of a pack. Raises TrainingError: there is none, or it is damaged."""
    return Pack(path).pictures
