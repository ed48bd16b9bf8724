"""Files that appear only when they are complete."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from crsr_video.files import sha256_of_file, write_file


def test_a_file_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    write_file(path, [b"new", b"er"])
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("stopped")

    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stopped"):
        write_file(path, chunks())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_checksum_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_of_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()
