"""Options that name an output file refuse "-" instead of creating a file of that name."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from tests.support.video import make_video


@pytest.mark.parametrize(
    "words",
    [
        ["export", "fast", "-o", "-"],
        ["export", "fast", "--format", "torchscript", "--output=-"],
        ["compare", "a.mp4", "a.mp4", "-o", "-"],
        ["tracks", "a.mp4", "-o", "-"],
        ["tracks", "a.mp4", "--draw", "-"],
        ["tracks", "a.mp4", "--sheet", "-"],
        ["ffmpeg-args", "a.mp4", "-o", "-"],
        ["evaluate-tracking", "--frames", "1", "--json", "-"],
        ["prepare", ".", "-o", "-"],
        ["harvest", ".", "-o-"],
        ["train", "export", "run", "-o", "-"],
        ["train", "joint", "faces.pack", "--output=-"],
        ["evaluate", "fast", "--data", "faces.pack", "-o", "-"],
        ["enhance", "a.mp4", "--report", "-"],
    ],
    ids=" ".join,
)
def test_standard_output_is_refused(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path / "a.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.output
    errors = [line for line in done.stderr.splitlines() if line.startswith("crsr-video: error: ")]
    assert len(errors) == 1
    assert "'-'" in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_file_can_still_have_this_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "a.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["tracks", "a.mp4", "-o", "./-"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-", "a.mp4"]
