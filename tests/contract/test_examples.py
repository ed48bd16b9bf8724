"""Every example runs, on the sample clips."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import CLIPS, PORTRAIT, ROOT
from tests.support.studio import Studio
from tests.unit.training.made_faces import portrait


def run(name: str, *arguments: str, code: str = "") -> str:
    """Run an example, after some code where given, and return what it printed."""
    words = [*(["-c", code] if code else [str(ROOT / "examples" / name)]), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_file(tmp_path: Path) -> None:
    assert "75 frames at " in run("enhance_file.py", str(PORTRAIT), str(tmp_path / "a.mp4"))
    assert (tmp_path / "a.mp4").exists()


def test_a_folder_whose_damaged_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_text("not a video")
    (tmp_path / "in" / "b.mp4").write_bytes(PORTRAIT.read_bytes())
    run("enhance_folder.py", str(tmp_path / "in"), str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mp4"]


def test_frames_from_opencv(tmp_path: Path) -> None:
    run("opencv_frames.py", str(PORTRAIT), str(tmp_path / "frames"))
    assert len(list((tmp_path / "frames").iterdir())) == 8


def test_frames_from_pyav() -> None:
    lines = run("pyav_frames.py", str(PORTRAIT)).splitlines()
    assert len(lines) == 75
    assert any(float(line.split()[2]) > 0.1 for line in lines)


def test_pictures_from_pillow(tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(picture)
    run("pillow_pictures.py", str(picture))
    assert (tmp_path / "grey.enhanced.png").exists()


def test_choosing_people(tmp_path: Path) -> None:
    printed = run("choose_people.py", str(CLIPS / "two_faces_cut.mp4"), str(tmp_path / "a.mp4"))
    assert "person 1: " in printed
    assert (tmp_path / "a.mp4").exists()


def test_a_live_window_without_a_screen() -> None:
    code = (
        "import runpy, sys, cv2; shown = []; cv2.imshow = lambda name, frame: shown.append(frame)\n"
        "cv2.waitKey = lambda _: ord('q') if len(shown) == 5 else 0\n"
        f"sys.argv = ['live_window.py', {str(PORTRAIT)!r}]\n"
        f"runpy.run_path({str(ROOT / 'examples' / 'live_window.py')!r}, run_name='__main__')\n"
        "print(len(shown))"
    )
    assert run("live_window.py", code=code).split()[-1] == "5"


@pytest.mark.skipif(os.name == "nt", reason="stops the studio by Ctrl-C")
def test_the_http_api_of_a_studio(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(PORTRAIT.read_bytes())
    studio = Studio(folder, tmp_path / "work")
    try:
        assert "done: " in run("http_api.py", studio.address, "a.mp4")
    finally:
        studio.stop()
    assert [path.name for path in folder.glob("a.enhanced*")] == ["a.enhanced.mp4"]


def test_training_on_a_folder(tmp_path: Path) -> None:
    for number in range(5, 10):  # One person in twenty is kept for validation: here person 8.
        person = tmp_path / "faces" / f"person{number}"
        person.mkdir(parents=True)
        Image.fromarray(portrait(2.0, 4.0 * number - 28, size=(640, 480))).save(person / "face.png")
    result = tmp_path / "own.safetensors"
    options = ("--steps", "2", "--size", "small")
    run("train_on_folder.py", str(tmp_path / "faces"), str(result), *options)
    assert result.exists()


def test_the_notebook_is_made_of_the_examples() -> None:
    made = runpy.run_path(str(ROOT / "examples" / "make_notebook.py"))["notebook"]()
    assert (ROOT / "examples" / "examples.ipynb").read_text(encoding="utf-8") == made
