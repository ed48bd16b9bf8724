"""``crsr-video enhance --resume``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crsr_video.cli import main
from crsr_video.jobs.segments import planning
from crsr_video.jobs.segments.work_folder import work_folder_of
from crsr_video.jobs.segments.worker import SegmentWorker
from tests.support.cli import QUICK
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("fake_pipeline")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["enhance", *(str(word) for word in words), *QUICK])


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "SEGMENT_FRAMES", 10)
    monkeypatch.setattr(planning, "WARM_UP_FRAMES", 6)


def test_the_same_command_resumes_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = make_video(tmp_path / "in.mp4", frames=45), tmp_path / "out.mp4"
    original = SegmentWorker.enhance

    def fail(self: SegmentWorker, segment: planning.Segment, *rest: object) -> object:
        if segment.number == 2:
            raise KeyboardInterrupt
        return original(self, segment, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentWorker, "enhance", fail)
        assert run(source, "-o", output, "--resume").exit_code != 0
    assert work_folder_of(output).is_dir()
    result = run(source, "-o", output, "--resume", "--json")
    assert result.exit_code == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert any("an earlier run finished 24 frames" in e.get("message", "") for e in events)
    assert (events[-1]["frames"], events[-1]["resumed"]) == (45, 24)
    assert not work_folder_of(output).exists()


def test_restart_without_resume_is_refused(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4", frames=25), tmp_path / "out.mp4"
    work_folder_of(output).mkdir()
    assert (
        run(source, "-o", output, "--resume").exit_code == 0
    )  # There is nothing to resume in an empty folder.
    result = run(source, "-o", output, "--restart")
    assert result.exit_code == 2
    assert "crsr-video: error: --restart requires --resume" in result.stderr
