"""Every example runs, on a moment of the sample clip."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support import cli
from tests.support.paths import ROOT
from tests.support.studio import Studio
from tests.unit.training.made_faces import portrait

pytestmark = pytest.mark.usefixtures("face_models")

Example = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Example:
    """Return a function that runs an example in this process and returns what it printed."""

    def run_example(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run_example


def test_one_file(run: Example, moment: Path, tmp_path: Path) -> None:
    assert "12 frames at " in run("enhance_file.py", moment, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").exists()


def test_a_folder_whose_damaged_file_does_not_stop_the_rest(
    run: Example, moment: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_text("not a video")
    (tmp_path / "in" / "b.mp4").write_bytes(moment.read_bytes())
    run("enhance_folder.py", tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mp4"]


def test_frames_from_opencv(run: Example, moment: Path, tmp_path: Path) -> None:
    run("opencv_frames.py", moment, tmp_path / "frames")
    assert len(list((tmp_path / "frames").iterdir())) == 2


def test_frames_from_pyav(run: Example, moment: Path) -> None:
    lines = run("pyav_frames.py", moment).splitlines()
    assert len(lines) == 12
    assert any(float(line.split()[2]) > 0.1 for line in lines)


def test_pictures_from_pillow(run: Example, tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(picture)
    run("pillow_pictures.py", picture)
    assert (tmp_path / "grey.enhanced.png").exists()


def test_choosing_people(run: Example, moment: Path, tmp_path: Path) -> None:
    assert "person 1: 12 frames" in run("choose_people.py", moment, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").exists()


def test_a_live_window_without_a_screen(
    run: Example, moment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda _, frame: shown.append(frame))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 5 else 0)
    run("live_window.py", moment)
    assert len(shown) == 5


@pytest.mark.processes
@pytest.mark.skipif(os.name == "nt", reason="stops the studio by Ctrl-C")
def test_the_http_api_of_a_studio(run: Example, moment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(moment.read_bytes())
    studio = Studio(folder, tmp_path / "work")
    try:
        assert "done: " in run("http_api.py", studio.address, "a.mp4")
    finally:
        studio.stop()
    assert [path.name for path in folder.glob("a.enhanced*")] == ["a.enhanced.mp4"]


def test_training_on_a_folder(
    run: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_here(command: list[str], *, check: bool) -> None:
        assert check
        assert command[:3] == [sys.executable, "-m", "crsr_video"]
        result = cli.run(*command[3:])
        assert result.exit_code == 0, result.stderr

    monkeypatch.setattr(subprocess, "run", run_here)
    for number in range(5, 10):  # One person in twenty is kept for validation: here person 8.
        person = tmp_path / "faces" / f"person{number}"
        person.mkdir(parents=True)
        Image.fromarray(portrait(2.0, 4.0 * number - 28, size=(640, 480))).save(person / "face.png")
    result = tmp_path / "own.safetensors"
    run("train_on_folder.py", tmp_path / "faces", result, "--steps", "2", "--size", "small")
    assert result.exists()


def test_the_notebook_is_made_of_the_examples() -> None:
    made = runpy.run_path(str(ROOT / "examples" / "make_notebook.py"))["notebook"]()
    assert (ROOT / "examples" / "examples.ipynb").read_text(encoding="utf-8") == made
