"""The command evaluate-tracking with MediaPipe's face models."""

import json

import cv2
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.errors import OutputError
from crsr_video.evaluation.tracking import suite
from crsr_video.evaluation.tracking.drawing import Backdrops, render
from crsr_video.evaluation.tracking.results import figures
from crsr_video.evaluation.tracking.running import SceneSettings, overlay_video, run
from crsr_video.evaluation.tracking.scenes import Actor, Key, Scene, Shot, people
from crsr_video.evaluation.tracking.scoring import Score
from crsr_video.types import TrackedFrame
from tests.support.tracking_truth import dotted


def invoke(*arguments):
    return CliRunner().invoke(main, ["evaluate-tracking", *arguments])


def test_scenes_are_listed():
    done = invoke("--list")
    assert done.exit_code == 0 and done.output.split() == list(suite.NAMES)


def test_wrong_usage_is_reported(tmp_path):
    for arguments, words in (
        (["--scenes", "nowhere"], "unknown scene 'nowhere'"),
        (["--backgrounds", str(tmp_path)], "no picture or video"),
        (["--faces", str(tmp_path)], "holds no prepared faces"),
    ):
        done = invoke("--frames", "1", *arguments)
        assert done.exit_code != 0
        assert words in (str(done.exception) + done.output)


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("lookahead", [0, 8])
def test_large_standing_faces_are_found_at_once(lookahead):
    faces = (Actor(1, 0, (Key(0, 90, 110, 60),)), Actor(2, 1, (Key(0, 230, 120, 50),)))
    cut = Shot(4, (Actor(3, 0, (Key(0, 200, 120, 70),)),), backdrop=1)
    made = Scene("made", (Shot(0, faces), cut), frames=8, size=(320, 240))
    result = run(made, people(None), Backdrops(), SceneSettings(lookahead=lookahead))
    f = figures([result.score])
    assert result.frames == 8 and f.due == 4 * 2 + 4
    assert f.recall == f.precision == f.idf1 == 1 and f.switches == 0
    assert f.error < 0.08 and f.jitter < 1
    assert result.cuts == (1, 0, 1)
    assert {"detect", "landmarks"} <= set(result.milliseconds)


@pytest.mark.usefixtures("face_models")
def test_the_command_writes_table_json_and_video(tmp_path):
    path = tmp_path / "figures" / "t.json"
    done = invoke(
        "--scenes", "still,nobody", "--frames", "2", "--json", str(path), "--video", str(tmp_path)
    )
    assert done.exit_code == 0, done.output
    table = [line for line in done.output.splitlines() if line.startswith("|")]
    assert table[2].split()[1:4] == ["still", "|", "2"]
    data = json.loads(path.read_text())
    assert [row["scene"] for row in data["scenes"]] == ["still", "nobody", "all"]
    assert data["scenes"][0]["due"] == data["scenes"][2]["due"] == 6
    assert data["scenes"][1]["recall"] is None
    video = cv2.VideoCapture(str(tmp_path / "still.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 2
    assert video.read()[1].shape == (480, 640, 3)
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"figures", "still.mp4", "nobody.mp4"}


def test_a_failed_video_leaves_no_file(tmp_path):
    (shown,) = render(suite.scenes(["still"])[0], [dotted()], Backdrops(), frames=1)
    size = shown.frame.width, shown.frame.height
    with pytest.raises(RuntimeError), overlay_video(tmp_path / "a.mp4", size) as write:
        write(shown, TrackedFrame(shown.frame), Score())
        assert len(list(tmp_path.iterdir())) == 1
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot be written"),
        overlay_video(tmp_path / "file/a", size),
    ):
        pass
