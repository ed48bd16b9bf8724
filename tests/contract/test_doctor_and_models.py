"""Commands that describe the installation: doctor, models, completion, help."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import crsr_video
from crsr_video.cli.installation import OPTIONAL_PARTS
from crsr_video.networks import onednn
from tests.support.cli import run
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("face_models")
PROGRAM = [sys.executable, "-m", "crsr_video"]


def test_help_lists_commands_without_importing_heavy_libraries() -> None:
    """This keeps the start-up time at about 0.2 s."""
    code = "import sys; from crsr_video.cli import main; main(['--help'], standalone_mode=False);"
    code += "print('imported:', sorted({'torch', 'av', 'cv2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "enhance" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_version_is_printed() -> None:
    assert crsr_video.__version__ in run("--version").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell: str) -> None:
    assert "_CRSR_VIDEO_COMPLETE" in run("completion", shell).stdout


def test_models_are_listed_with_licence_and_hash() -> None:
    rows = json.loads(run("models", "--json").stdout)
    assert {"fast", "background", "landmarks"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["state"] == "verified"
        assert row["licence"]
        assert len(row["sha256"]) == 64


def test_doctor_finds_everything() -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "FAIL" not in result.stdout
    for word in ("torch", "libx264", "verified", "frames a second"):
        assert word in result.stdout


@pytest.mark.parametrize("able", [True, False])
def test_doctor_names_the_precision_and_the_reason_for_it(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if able and not onednn.has_vnni():
        pytest.skip("this processor cannot multiply bytes by itself")
    monkeypatch.setattr(onednn, "has_vnni", lambda: able)
    monkeypatch.setattr(onednn, "has_bf16", lambda: True)
    found = json.loads(run("doctor", "--device", "cpu", "--json").stdout)
    told, ran = found["device"]["text"], found["self-test"]["text"]
    assert told.startswith(f"cpu, {'int8' if able else 'bf16'} on CPU: the processor ")
    assert f"({'int8' if able else 'bf16'}, " in ran
    assert "fast (measured for int8)" in found["weights"]["text"]


def test_doctor_says_what_is_still_to_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "todo  face models" in result.stdout
    assert "models --fetch" in result.stdout


def test_doctor_fails_where_something_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_FACE_MODELS", str(tmp_path))
    result = run("doctor")
    assert result.exit_code == 1
    assert "FAIL  face models" in result.stdout
    assert "remedy: put the files there" in result.stdout


def test_doctor_names_a_remedy_for_everything_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = json.loads(run("doctor", "--json").stdout)
    assert found["ffmpeg"]["state"] == "none"
    assert found["face models"]["state"] == "todo"
    for name, part in found.items():
        assert (part["state"] == "ok") == (part["remedy"] == ""), name


def test_doctor_lists_every_extra_for_users() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"dev", "docs", "test"}
    assert extras <= {part.name for part in OPTIONAL_PARTS}
