"""A journal that survives crashes and power failures.

Each line is a JSON object with its own checksum, and is on the disk before anything relies on it. A
torn or damaged line, and everything after it, counts as not written.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Journal:
    """An append-only file of records.

    Args:
        path: The file. If it exists, its records are read and a damaged end is cut off.

    Raises:
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        """All records that are safely on the disk."""
        self._read()

    def append(self, record: Record) -> None:
        """Add a record. It is on the disk when this method returns.

        Raises:
            OSError: The record cannot be written. The journal is unchanged then.
        """
        record = json.loads(json.dumps(record))  # As it will be read: all keys are strings.
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        line = json.dumps({"check": _checksum(body), "record": record}, ensure_ascii=False)
        with self.path.open("ab") as file:
            before = file.tell()
            try:
                file.write(f"{line}\n".encode("utf-8", "surrogateescape"))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, before)
                raise
        self.records.append(record)

    def _read(self) -> None:
        if not self.path.exists():
            return
        valid_bytes = 0
        with self.path.open("rb") as file:
            for line in file:
                record = _parse(line)
                if record is None:
                    break
                self.records.append(record)
                valid_bytes += len(line)
        if valid_bytes < self.path.stat().st_size:
            os.truncate(self.path, valid_bytes)


def _parse(line: bytes) -> Record | None:
    """Return the record of a line, or None if the line is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line.decode("utf-8", "surrogateescape"))
        record: Record = entry["record"]
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        return record if entry["check"] == _checksum(body) else None
    except (ValueError, KeyError, TypeError):
        return None


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode("utf-8", "surrogateescape"))
