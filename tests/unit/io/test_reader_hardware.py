"""Decoding on a device: only on request, and by software where the device does not work."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.config import Config, ReadSettings
from crsr_video.errors import ConfigError, CrsrError
from crsr_video.io import hardware, reader
from crsr_video.io.reader import Reader
from crsr_video.io.sources import opening
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.types import Frame
from tests.support.video import make_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return make_video(folder / "in.mp4", frames=6, codec="libx264", audio=1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Collect the devices that `av.open` is called with; none of them works."""
    calls: list[object] = []
    own = av.open

    def fake(*args, **options):
        calls.append(options.get("hwaccel", "unasked"))
        if "hwaccel" in options:
            raise av.error.ExternalError(1, "no such device")
        return own(*args, **options)

    monkeypatch.setattr(opening, "av", SimpleNamespace(open=fake))
    return calls


class Barren:
    """A decoder that runs on a device, and returns no picture."""

    is_hwaccel = True

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def decode(self, _packet):
        return []


def decoded(path: Path, **choices: str) -> tuple[list[str], tuple[str, ...]]:
    """Return a digest of each frame, and the notes."""
    with Reader(path, settings=ReadSettings(**choices)) as decoder:
        pictures = [
            hashlib.md5(b"".join(plane.tobytes() for plane in item.components)).hexdigest()
            for item in decoder
            if isinstance(item, Frame)
        ]
        return pictures, decoder.report.notes


def test_no_device_is_tried_by_default(clip: Path, opened: list[object]) -> None:
    pictures, notes = decoded(clip)
    assert len(pictures) == 6
    assert notes == ()
    assert set(opened) == {"unasked"}


@pytest.mark.parametrize(("wanted", "told"), [("cuda", "cannot decode on cuda"), ("auto", "")])
def test_without_the_device_software_decodes_the_same(
    wanted: str, told: str, clip: Path, opened: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "usable_kinds", lambda _: ("cuda", "vaapi"))
    expected, _ = decoded(clip)
    pictures, notes = decoded(clip, hwaccel=wanted)
    assert pictures == expected
    assert any(isinstance(device, hardware.HWAccel) for device in opened)
    assert " ".join(notes).startswith(told)
    assert bool(notes) == bool(told)


def test_software_decodes_if_a_device_returns_nothing(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = decoded(clip)

    class Device(SourceConnection):
        """A connection whose device decodes nothing."""

        def __init__(self, *args, hwaccel="none", **options):
            super().__init__(*args, **options)
            if hwaccel != "none":
                self.decoder = Barren(self.decoder)

    monkeypatch.setattr(reader, "SourceConnection", Device)
    pictures, notes = decoded(clip, hwaccel="auto")
    assert pictures == expected
    assert any("decoding on auto returns no pictures" in note for note in notes)


def test_a_file_without_pictures_is_an_error_with_any_device(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", frames=3)
    path.write_bytes(path.read_bytes()[:200])
    for wanted in ("none", "auto", "cuda"):
        with pytest.raises(CrsrError) as caught:
            decoded(path, hwaccel=wanted)
        assert "\n" not in str(caught.value)


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="`hwaccel` must be none, auto"):
        ReadSettings(hwaccel="gpu")
    with pytest.raises(ConfigError, match="`hwaccel` must be none"):
        Config.from_options(resume=True, reading=ReadSettings(hwaccel="auto"))


def test_the_command_line_passes_the_device(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def enhance(*_args, config, **_options):
        seen.append(config.reading.hwaccel)
        raise ConfigError("far enough")

    monkeypatch.setattr("crsr_video.jobs.file.enhance", enhance)
    words = ["enhance", str(clip), "-o", str(tmp_path / "out.mp4")]
    for extra in ([], ["--hwaccel", "cuda"]):
        assert CliRunner().invoke(main, [*words, *extra]).exit_code == 2
    assert seen == ["none", "cuda"]
