"""Files that appear only when they are complete."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from crsr_video.files import cache_folder, replacing, sha256_of_file, write_file


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


def test_a_file_gets_its_name_when_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.name.startswith(".film.") and temporary.name.endswith(".part.json")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_block_keeps_the_older_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_kept_on_request(tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        write_file(path, [b"new"], keep_existing=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_temporary_names_differ_and_fit_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 60 + ".mp4")
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert list(tmp_path.iterdir()) == [path]


def test_an_environment_variable_moves_all_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    assert cache_folder("models") == tmp_path / "models"
    monkeypatch.delenv("CRSR_VIDEO_CACHE")
    assert cache_folder("models").name == "models"
