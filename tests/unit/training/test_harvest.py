from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from crsr_video.errors import TrainingError
from crsr_video.imaging.geometry import canonical_landmarks
from crsr_video.io.pictures import from_rgb
from crsr_video.training.harvest import KIND, REASONS, Criteria, TrackFaces, harvest, native_crop
from crsr_video.training.pack import Pack, split_of
from crsr_video.types import Face
from tests.unit.training.made_faces import portrait


def write_clip(path, pictures):
    """Write Motion JPEG, which every installation of OpenCV can do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = pictures[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    assert writer.isOpened()
    for picture in pictures:
        writer.write(picture[..., ::-1])
    writer.release()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos")
    # Aligned, a face that only moves is alike in all frames; here the light changes too.
    moving = [
        (portrait(dx=4.0 * n, turn=2.0 * n) * (0.6 + 0.04 * n)).astype(np.uint8) for n in range(11)
    ]
    write_clip(path / "sub" / "moving.avi", moving)
    write_clip(path / "resting.avi", [portrait(scale=0.5)] * 11)
    cv2.imwrite(str(path / "still.png"), portrait()[..., ::-1])
    (path / "notes.txt").write_text("no video, and not a short text, so that a demuxer may look")
    return path


@pytest.mark.usefixtures("face_models")
def test_faces_are_cut_from_videos_and_stills_as_large_as_they_are(folder, tmp_path) -> None:
    counts = harvest([folder], tmp_path / "faces.pack")
    pack = Pack(tmp_path / "faces.pack")
    of = {e.file: [x for x in pack.pictures if x.file == e.file] for e in pack.pictures}
    assert {name: len(entries) for name, entries in of.items()} == {
        "moving.avi": 3,
        "resting.avi": 1,  # the others are alike
        "still.png": 1,
    }
    assert counts["unreadable"] == 1 and counts["alike"] == 2 and counts["tracks"] == 3
    assert counts["train"] + counts["val"] == 5
    for entry in pack.pictures:
        assert entry.kind == KIND and entry.split == split_of(entry.file)
        assert entry.size % 4 == 0 and len(entry.sha256) == 64
    assert of["still.png"][0].person == "still/1"
    assert 112 <= of["still.png"][0].size <= 136 and 72 <= of["resting.avi"][0].size <= 92
    rows = [(e.split, e.size, e.row) for e in pack.pictures]
    assert len(set(rows)) == len(rows)


@pytest.mark.usefixtures("face_models")
def test_criteria_of_faces_are_applied(folder, tmp_path) -> None:
    with pytest.raises(TrainingError, match="no usable face"):
        harvest([folder / "still.png"], tmp_path / "faces.pack", Criteria(smallest=100))
    with pytest.raises(TrainingError, match="no usable face"):
        harvest([folder / "still.png"], tmp_path / "faces.pack", Criteria(largest=30))
    assert list(tmp_path.iterdir()) == []
    counts = harvest([folder / "sub"], tmp_path / "few.pack", Criteria(every=1, per_track=4))
    assert 2 <= counts["train"] + counts["val"] <= 4
    assert set(counts) == {"train", "val", "tracks", *REASONS}


@pytest.mark.usefixtures("face_models")
def test_nothing_to_harvest_from_is_an_error(tmp_path) -> None:
    with pytest.raises(TrainingError, match="no video"):
        harvest([tmp_path], tmp_path / "faces.pack")
    with pytest.raises(TrainingError, match="no usable face in 1 videos"):
        harvest([tmp_path / "missing.mp4"], tmp_path / "faces.pack")


def test_an_faces_is_spread_over_its_track() -> None:
    faces = TrackFaces()
    for number in range(100):
        faces.offer(np.full((1, 1, 3), number, np.uint8), 12)
    numbers = [int(picture[0, 0, 0]) for picture in faces.pictures]
    assert 6 <= len(numbers) <= 12
    assert numbers[0] == 0 and numbers[-1] >= 84
    assert len({b - a for a, b in pairwise(numbers)}) == 1


@pytest.mark.parametrize("side", [24, 44, 96])
def test_a_face_of_a_crop_that_fits_is_copied_exactly(side) -> None:
    rgb = portrait()
    landmarks = canonical_landmarks(side) + np.array([100.0, 60.0])
    face = Face(1, landmarks, (0, 0, 1, 1), 1.0)
    np.testing.assert_array_equal(
        native_crop(from_rgb(rgb, 0), face), rgb[60 : 60 + side, 100 : 100 + side]
    )


def test_flat_pixels_are_made_square() -> None:
    frame = replace(from_rgb(portrait(), 0), sample_aspect=Fraction(2))
    landmarks = canonical_landmarks(48) * (0.5, 1.0) + (120.0, 80.0)
    crop = native_crop(frame, Face(1, landmarks, (0, 0, 1, 1), 1.0))
    assert crop.shape[0] == crop.shape[1] and 44 <= crop.shape[0] <= 72
