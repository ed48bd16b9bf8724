"""Recall on a clip against a list of boxes."""

from pathlib import Path

import pytest

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking.recall import measure, read_boxes
from crsr_video.evaluation.tracking.running import SceneSettings

CLIP = Path(__file__).parents[4] / "clips" / "portrait.mp4"
HEADER = "frame,x0,y0,x1,y1\n"


def test_boxes_are_grouped_by_frame(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("score," + HEADER + ".9,3,1,2,41.5,52\n.8,3,5,6,7,8\n.7,9,0,0,4,4\n")
    assert read_boxes(path) == {3: [(1, 2, 41.5, 52), (5, 6, 7, 8)], 9: [(0, 0, 4, 4)]}


@pytest.mark.parametrize(
    "text", ["frame,x0,y0,x1\n1,2,3,4\n", HEADER + "1,2,3\n", HEADER + "a,1,2,3,4\n"]
)
def test_a_file_that_lists_no_boxes_is_refused(tmp_path, text):
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not a list of boxes"):
        read_boxes(path)


@pytest.mark.usefixtures("face_models")
def test_found_missed_and_unlisted_faces_are_counted(tmp_path):
    path = tmp_path / "boxes.csv"
    found, missed, small = "272,127,328,188", "20,20,90,100", "500,20,520,40"
    path.write_text(HEADER + f"0,{found}\n0,{missed}\n0,{small}\n2,{missed}\n")
    report = measure(CLIP, path, SceneSettings(frames=4))
    assert report.data["found"] == {"32 to 64 px": 1, "64 px and more": 0, "all": 1}
    assert report.data["listed"] == {"32 to 64 px": 1, "64 px and more": 2, "all": 3}
    assert report.data["unlisted"] == 1
    assert [miss["frame"] for miss in report.data["missed"]] == [0, 2]
    assert "0.333" in report.text


@pytest.mark.usefixtures("face_models")
def test_boxes_of_frames_that_the_clip_lacks_are_refused(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(HEADER + "75,1,2,40,50\n")
    with pytest.raises(ConfigError, match=r"lists frame 75, but .* has 75"):
        measure(CLIP, path, SceneSettings())
