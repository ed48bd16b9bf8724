import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from crsr_video.errors import TrainingError
from crsr_video.training.pack import (
    LOSSLESS,
    Pack,
    Prepared,
    encode,
    new_pack,
    split_of,
)
from tests.unit.training.made_faces import picture

ENTRY = Prepared("a.png", "train", "synthetic", "someone", 32, 0, "0" * 64, "made for the test")


def write(path, sides=(32, 48, 16), quality=LOSSLESS):
    with new_pack(path, {"quality": quality}) as pack:
        for row, side in enumerate(sides):
            pack.add(replace(ENTRY, size=side), encode(picture(side, row), quality))
    return path


def test_pictures_and_index_come_back(tmp_path) -> None:
    pack = Pack(write(tmp_path / "faces.pack"))
    assert [entry.size for entry in pack.pictures] == [32, 48, 16]
    assert pack.pictures[1] == replace(ENTRY, size=48)
    assert pack.parameters == {"quality": LOSSLESS}
    for number, side in enumerate((32, 48, 16)):
        np.testing.assert_array_equal(pack.read(number), picture(side, number))
    assert Pack(tmp_path).pictures == pack.pictures  # by its folder


def test_pictures_are_stored_where_any_archiver_finds_them(tmp_path) -> None:
    with zipfile.ZipFile(write(tmp_path / "faces.pack")) as archive:
        assert archive.testzip() is None
        stored = archive.infolist()[:-1]
        assert [entry.filename for entry in stored] == [f"crops/00000{n}.webp" for n in range(3)]
        assert {entry.compress_type for entry in stored} == {zipfile.ZIP_STORED}


def test_equal_input_gives_equal_bytes(tmp_path) -> None:
    assert write(tmp_path / "a").read_bytes() == write(tmp_path / "b").read_bytes()


def test_quality_trades_size_for_likeness() -> None:
    original = picture(128, 0)
    sizes = [len(encode(original, quality)) for quality in (60, 95, LOSSLESS)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 2


def test_nothing_remains_of_a_pack_that_was_given_up(tmp_path) -> None:
    old = write(tmp_path / "faces.pack").read_bytes()
    with pytest.raises(KeyboardInterrupt), new_pack(tmp_path / "faces.pack", {}) as pack:
        pack.add(ENTRY, b"half")
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["faces.pack"]
    assert (tmp_path / "faces.pack").read_bytes() == old


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crsr_video.files.os.fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        write(tmp_path / "faces.pack")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_an_error(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="cannot be written"):
        write(tmp_path / "file" / "faces.pack")


def test_damaged_and_foreign_files_are_errors(tmp_path) -> None:
    path = write(tmp_path / "faces.pack")
    whole = path.read_bytes()
    for content in (b"", b"no pack", whole[: len(whole) // 2], whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(TrainingError, match="no prepared faces"):
            Pack(path)
    with pytest.raises(TrainingError, match="No such file"):
        Pack(tmp_path / "missing")


def test_an_archive_of_something_else_is_an_error(tmp_path) -> None:
    for name, index in (("a", None), ("b", "[]"), ("c", '{"version": 1, "pictures": [{}]}')):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("other.txt" if index is None else "index.json", index or "")
        with pytest.raises(TrainingError, match="no prepared faces"):
            Pack(tmp_path / name)


def test_a_later_version_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("crsr_video.training.pack.VERSION", 2)
    path = write(tmp_path / "faces.pack")
    monkeypatch.undo()
    with pytest.raises(TrainingError, match="version 2, not 1"):
        Pack(path)


def test_a_damaged_picture_is_an_error_when_it_is_read(tmp_path) -> None:
    path = write(tmp_path / "faces.pack")
    data = bytearray(path.read_bytes())
    at = data.index(b"WEBP") + 30
    data[at] ^= 255
    path.write_bytes(bytes(data))
    pack = Pack(path)
    pack.read(1)
    with pytest.raises(TrainingError, match="picture 0 is damaged"):
        pack.read(0)


def test_many_threads_read_the_same_pack(tmp_path) -> None:
    pack = Pack(write(tmp_path / "faces.pack", sides=(32,) * 8))
    start = threading.Barrier(4)

    def read(_):
        start.wait()
        return [pack.read(n) for n in range(8)]

    with ThreadPoolExecutor(4) as pool:
        for pictures in pool.map(read, range(4)):
            for number, read_back in enumerate(pictures):
                np.testing.assert_array_equal(read_back, picture(32, number))


def test_a_name_is_always_in_the_same_split() -> None:
    splits = [split_of(f"person {n}") for n in range(2000)]
    assert splits == [split_of(f"person {n}") for n in range(2000)]
    assert 60 < splits.count("val") < 140
