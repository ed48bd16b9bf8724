"""A journal that survives crashes and power failures.

Each line is a JSON object with its own checksum, and is on the disk before anything relies on it.
An incomplete or damaged line, and everything after it, counts as not written.
"""

import io
import json
import os
import zlib
from typing import Any

from crsr_video.private_folder import PrivateFolder

Record = dict[str, Any]


class SegmentJournal:
    """An append-only file of records.

    Args:
        folder: Folder of the file.
        name: Name of the file. If it exists, its records are read and a damaged end is cut off.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """

    def __init__(self, folder: PrivateFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self.records: list[Record] = []
        """All records that are safely on the disk."""
        self._read()

    def append(self, record: Record) -> None:
        """Add a record. It is on the disk when this method returns.

        Raises:
            OSError: The record cannot be written. In this case the journal is unchanged.
        """
        record = json.loads(json.dumps(record))  # As `_read` returns it: all keys are strings.
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        line = json.dumps({"check": _checksum(body), "record": record}, ensure_ascii=False)
        data = f"{line}\n".encode("utf-8", "surrogateescape")
        with self._folder.open(self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
        self.records.append(record)

    def _read(self) -> None:
        if not self._folder.holds(self._name):
            return
        valid_bytes = 0
        with self._folder.open(self._name, os.O_RDWR) as file:
            content = file.read()
            for line in io.BytesIO(content):
                record = _parse(line)
                if record is None:
                    break
                self.records.append(record)
                valid_bytes += len(line)
            if valid_bytes < len(content):
                file.truncate(valid_bytes)


def _parse(line: bytes) -> Record | None:
    """Return the record of a line, or None if the line is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line.decode("utf-8", "surrogateescape"))
        record: Record = entry["record"]
        if not isinstance(record, dict):
            return None
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        return record if entry["check"] == _checksum(body) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode("utf-8", "surrogateescape"))
