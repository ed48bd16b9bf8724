"""What has been done, written so that it is still true after a crash or a power cut.

One JSON object a line, each with its own checksum and written through to the disk before anything
relies on it. Whatever follows a line that is torn or damaged counts as not written.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Journal:
    """An append-only file of records."""

    def __init__(self, path: Path) -> None:
        """Read what is there, and cut off a torn end.

        Raises: OSError.
        """
        self.path = path
        self.records: list[Record] = []
        """All that is certain."""
        self._read()

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns.

        Raises: OSError: the journal is as it was before.
        """
        record = json.loads(json.dumps(record))  # As it will be read: all keys are strings.
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        line = json.dumps({"check": _check(body), "record": record}, ensure_ascii=False)
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
        good = 0
        with self.path.open("rb") as file:
            for line in file:
                record = _parsed(line)
                if record is None:
                    break
                self.records.append(record)
                good += len(line)
        if good < self.path.stat().st_size:
            os.truncate(self.path, good)


def _parsed(line: bytes) -> Record | None:
    """The record of a line; None: it is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line.decode("utf-8", "surrogateescape"))
        record: Record = entry["record"]
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        return record if entry["check"] == _check(body) else None
    except (ValueError, KeyError, TypeError):
        return None


def _check(body: str) -> int:
    return zlib.crc32(body.encode("utf-8", "surrogateescape"))
