import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.errors import TrainingError
from crsr_video.imaging.geometry import canonical_landmarks, crop_side
from crsr_video.training.pack import Pack, split_of
from crsr_video.training.prepare import (
    SkipCounter,
    detected,
    picture_files,
    prepare,
    share_inside,
    size_for,
)
from tests.unit.training.made_faces import make_folder, picture, portrait, row, write_list


def found(counts):
    """Return the counts of stored and rejected faces, without zeros."""
    return {name: count for name, count in counts.items() if count and name != "quality"}


def test_size_for_face_widths() -> None:
    assert [size_for(width) for width in (250, 249.9, 125, 62, 61.9)] == [512, 256, 256, 128, None]


def test_canonical_pictures_come_back_as_they_are(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128, 256, 256], "val": [128]})
    counts = prepare(source, tmp_path / "faces.pack", quality=101)
    assert found(counts) == {"train_128": 1, "train_256": 2, "val_128": 1}
    assert counts["skipped"] == 0
    assert Pack(tmp_path / "faces.pack").parameters["quality"] == 101
    stored = Pack(tmp_path / "faces.pack").read(1)
    np.testing.assert_allclose(stored, picture(256, 1)[..., ::-1], atol=1)


def test_index_says_what_each_picture_is(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128, 256]})
    (tmp_path / "out").mkdir()
    prepare(source, tmp_path / "out")
    entries = {entry.file: entry for entry in Pack(tmp_path / "out").pictures}
    entry = entries["drawn/train_1.png"]
    assert (entry.split, entry.size, entry.row, entry.person) == ("train", 256, 0, "train_1")
    assert entry.licence == "made for the test" and len(entry.sha256) == 64


def test_equal_folders_give_equal_packs(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128, 256]})
    for name in "ab":
        prepare(source, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


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
        row("drawn/train_0.png", 128, "train") | {"nose_x": "nowhere"},
    ]
    write_list(source, rows)
    counts = prepare(source, tmp_path / "out")
    left_out = {"skipped": 5, "unreadable": 2, "too small": 1, "degenerate": 2}
    assert found(counts) == {"train_128": 1, **left_out}


def test_a_folder_without_faces_is_an_error(tmp_path) -> None:
    with pytest.raises(TrainingError, match="is not a folder"):
        prepare(tmp_path / "missing", tmp_path / "out")
    (tmp_path / "faces").mkdir()
    with pytest.raises(TrainingError, match="no usable"):
        prepare(tmp_path / "faces", tmp_path / "out")
    write_list(tmp_path / "faces", [])
    with pytest.raises(TrainingError, match="no usable"):
        prepare(tmp_path / "faces", tmp_path / "out")
    (tmp_path / "faces" / "faces.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="list of faces"):
        prepare(tmp_path / "faces", tmp_path / "out")


def test_a_folder_without_prepared_faces_is_refused(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TrainingError, match="no prepared faces"):
            Pack(path)


def write_portrait(path: Path, **kwargs: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), portrait(**kwargs)[..., ::-1])


@pytest.mark.usefixtures("face_models")
def test_faces_are_found_without_a_list(tmp_path, caplog) -> None:
    folder = tmp_path / "people"
    write_portrait(folder / "ann" / "1.png")
    write_portrait(folder / "ann" / "again.png")
    write_portrait(folder / "bob" / "1.jpg", turn=20)
    write_portrait(folder / "bob" / "far.png", scale=0.5)
    write_portrait(folder / "cut.png", dx=-135)
    cv2.imwrite(str(folder / "empty.png"), np.full((240, 320, 3), 90, np.uint8))
    (folder / "broken.webp").write_bytes(b"RIFF")
    (folder / "none.bmp").touch()
    (folder / "notes.txt").write_text("not looked at")
    (folder / "ann" / "loop").symlink_to(folder, target_is_directory=True)
    with caplog.at_level(logging.INFO, "crsr_video.training.prepare"):
        counts = prepare(folder, tmp_path / "faces.pack")
    entries = Pack(tmp_path / "faces.pack").pictures
    assert [(e.file, e.person, e.size) for e in entries] == [
        ("ann/1.png", "ann", 128),
        ("bob/1.jpg", "bob", 128),
    ]
    assert {e.split for e in entries} == {split_of("ann"), split_of("bob")}
    assert counts["unreadable"] == 2 and counts["duplicate"] == counts["too small"] == 1
    assert counts["no face"] + counts["cut off"] == 2 and counts["skipped"] == 6
    assert "broken.webp: skipped, unreadable" in caplog.text
    upright, turned = (Pack(tmp_path / "faces.pack").read(n).astype(float) for n in (0, 1))
    middle = np.s_[40:100, 40:88]
    assert np.corrcoef(upright[middle].ravel(), turned[middle].ravel())[0, 1] > 0.97


@pytest.mark.usefixtures("face_models")
def test_pictures_without_sub_folders_are_people_of_their_own(tmp_path) -> None:
    for name in ("x.png", "y.PNG"):
        write_portrait(tmp_path / name, turn=5 * (name == "x.png"))
    faces = detected(tmp_path, SkipCounter())
    assert [(f.person, f.split) for f in faces] == [(n, split_of(n)) for n in "xy"]
    assert 110 < crop_side(faces[0].landmarks) < 150


def test_pictures_are_found_in_order_at_any_depth(tmp_path) -> None:
    for name in ("b/c/2.JPG", "a.webp", "b/1.jpeg", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [file.relative_to(tmp_path).as_posix() for file in picture_files(tmp_path)]
    assert names == ["a.webp", "b/1.jpeg", "b/c/2.JPG"]


def test_share_of_a_crop_inside_its_picture() -> None:
    landmarks = canonical_landmarks(100)
    assert share_inside(landmarks, 100, 100) == pytest.approx(1)
    assert share_inside(landmarks - (25, 0), 200, 200) == pytest.approx(0.75)
    assert share_inside(landmarks + np.array([75, 50]), 100, 100) == pytest.approx(0.125)
    assert share_inside(landmarks + 500, 100, 100) == 0


def test_the_command_prints_a_table_then_its_result_and_the_next_command(tmp_path) -> None:
    source = make_folder(tmp_path / "faces", {"train": [128], "val": [128]})
    pack = tmp_path / "faces.pack"
    result = CliRunner().invoke(main, ["prepare", str(source), "-o", str(pack)])
    assert result.exit_code == 0, result.output
    heading, *rows, wrote, following = result.stdout.splitlines()
    assert heading.split() == ["pictures", "count"]
    assert {len(row) for row in rows} == {len(heading)}
    assert dict(row.rsplit(maxsplit=1) for row in rows)["val_128"] == "1"
    assert wrote.startswith(f"wrote {pack} (")
    assert following == f"next: crsr-video train joint {pack} -o RUN_FOLDER --minutes 30"
