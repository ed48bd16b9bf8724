"""Settings files: ``crsr-video.toml`` in the user's configuration folder and beside the input."""

import json
import shutil
from pathlib import Path

import pytest

from crsr_video.cli.settings_files import user_file
from tests.support.cli import run
from tests.support.paths import PORTRAIT

pytestmark = pytest.mark.usefixtures("face_models")


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a user's settings file that does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = user_file()
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return Path(shutil.copy(PORTRAIT, tmp_path / "films" / "clip.mp4"))


def settings(*words: object) -> dict[str, dict[str, object]]:
    return json.loads(run("config", *words, "--json").stdout)["options"]


def test_values_come_from_the_nearest_place(own: Path, clip: Path) -> None:
    own.write_text('[enhance]\nstrength = 0.2\nmin-face = 20\ncodec = "h265"\n')
    clip.with_name("crsr-video.toml").write_text("[enhance]\nstrength = 0.4\nmin-face = 30\n")
    with own.open("a") as file:
        file.write("[preset.wedding]\nstrength = 0.6\nonly = [1, 4]\n")
    shown = settings(clip, "--preset-name", "wedding")
    assert shown["--strength"] == {"value": "0.6", "origin": f"preset wedding of {own}"}
    assert shown["--only"]["value"] == "1,4"
    beside = str(clip.with_name("crsr-video.toml"))
    assert shown["--min-face"] == {"value": "30", "origin": beside}
    assert shown["--codec"] == {"value": "h265", "origin": str(own)}
    assert shown["--scale"] == {"value": 1, "origin": "default"}


def test_a_run_uses_the_files_and_says_so(own: Path, clip: Path) -> None:
    own.write_text(
        '[enhance]\nmodel = "identity"\nduration = "0:00.2"\n[preset.large]\nscale = 2\n'
    )
    result = run("enhance", clip, "--preset-name", "large", "--preset", "ultrafast")
    assert result.exit_code == 0, result.stderr
    assert f"note: options from {own}" in result.stderr
    assert "in 5 of 5 frames" in result.stderr
    again = run("enhance", clip, "--duration", "0.4", "--preset", "ultrafast", "-y")
    assert "in 10 of 10 frames" in again.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[enhance]\nstrenght = 1\n", "'enhance' has no option --strenght"),
        ("[enhance]\nstrength = 3\n", "strength: 3 is not between 0 and 1"),
        ("[enhance\n", "is no valid TOML"),
        ("enhance = 3\n", "'enhance' must be a table"),
        ('[enhance]\noutput = "a.mp4"\n', "--output cannot be set beside an input"),
        ("[enhance]\noverwrite = true\n", "--overwrite cannot be set beside an input"),
    ],
)
def test_a_wrong_file_is_an_error_of_one_line(clip: Path, text: str, message: str) -> None:
    path = clip.with_name("crsr-video.toml")
    path.write_text(text)
    result = run("enhance", clip)
    assert result.exit_code == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert str(path) in line
    assert message in line
    assert {item.name for item in clip.parent.iterdir()} == {"clip.mp4", "crsr-video.toml"}


def test_an_unknown_preset_names_those_that_exist(own: Path, clip: Path) -> None:
    own.write_text("[preset.wedding]\nstrength = 0.6\n")
    result = run("enhance", clip, "--preset-name", "party")
    assert result.exit_code == 2
    assert f"there is no preset 'party' in {own}" in result.stderr
    assert "the presets are wedding" in result.stderr
