import numpy as np
import pytest

from crsr_video.errors import TrainingError
from crsr_video.training.prepare import array_path, prepare, read_index, size_for
from training.made_faces import make_folder, picture, row, write_list


def test_size_for_face_widths() -> None:
    assert [size_for(width) for width in (250, 249.9, 125, 62, 61.9)] == [512, 256, 256, 128, None]


def test_canonical_pictures_come_back_as_they_are(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128, 256, 256], "val": [128]})
    counts = prepare(source, tmp_path / "out")
    assert counts == {"train_128": 1, "train_256": 2, "val_128": 1, "skipped": 0}
    stored = np.load(array_path(tmp_path / "out", "train", 256))
    assert stored.shape == (2, 256, 256, 3) and stored.dtype == np.uint8
    np.testing.assert_allclose(stored[0], picture(256, 1)[..., ::-1], atol=1)


def test_index_says_what_each_row_is(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128, 256]})
    prepare(source, tmp_path / "out")
    entries = {entry.file: entry for entry in read_index(tmp_path / "out")}
    entry = entries["drawn/train_1.png"]
    assert (entry.split, entry.size, entry.row, entry.person) == ("train", 256, 0, "train_1")
    assert entry.licence == "made for the test" and len(entry.sha256) == 64


def test_unreadable_tiny_and_degenerate_pictures_are_counted(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128]})
    (source / "broken.png").write_bytes(b"no picture")
    same_point = row("drawn/train_0.png", 128, "train")
    same_point |= {key: 5.0 for key in same_point if key.endswith(("_x", "_y"))}
    rows = [
        row("drawn/train_0.png", 128, "train"),
        row("broken.png", 128, "train"),
        row("missing.png", 128, "train"),
        row("drawn/train_0.png", 100, "train"),
        same_point,
    ]
    write_list(source, rows)
    assert prepare(source, tmp_path / "out") == {"train_128": 1, "skipped": 4}


def test_a_folder_without_faces_is_an_error(tmp_path) -> None:
    with pytest.raises(TrainingError, match="no list of faces"):
        prepare(tmp_path, tmp_path / "out")
    write_list(tmp_path, [])
    with pytest.raises(TrainingError, match="no usable"):
        prepare(tmp_path, tmp_path / "out")


def test_an_unprepared_folder_is_an_error(tmp_path) -> None:
    with pytest.raises(TrainingError, match="no prepared faces"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text('{"pictures": [{"file": "x"}]}')
    with pytest.raises(TrainingError, match="no prepared faces"):
        read_index(tmp_path)
