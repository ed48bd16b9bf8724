"""Counting which tracks of people who come back have the same number."""

import pytest

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking.recurring import Pairs, count_pairs, measure
from crsr_video.evaluation.tracking.running import SceneSettings


def test_pairs_of_tracks_are_counted():
    names = {1: "Anna", 2: "Bob", 3: "Anna", 4: "Anna"}
    assert count_pairs(names, {1: 1, 2: 2, 3: 1, 4: 1}) == Pairs(3, 3, 3, 0)
    assert count_pairs(names, {1: 1, 2: 1, 3: 3, 4: 1}) == Pairs(3, 1, 3, 2)


def test_a_folder_without_several_pictures_of_some_people_is_refused(tmp_path):
    columns = "file,split,kind,person,face_width,licence"
    points = [
        f"{part}_{axis}"
        for part in ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")
        for axis in "xy"
    ]
    (tmp_path / "faces.csv").write_text(",".join([columns, *points]) + "\n")
    with pytest.raises(ConfigError, match="no sharp face"):
        measure(tmp_path, SceneSettings())
