"""Live results in a virtual camera, with a fake pyvirtualcam: test machines have no device."""

import sys
from enum import Enum
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crsr_video.errors import OutputError
from tests.support.live_output import clip, push_all
from tests.support.writing import open_writer


class PixelFormat(Enum):
    I420 = "I420"


class Camera:
    """Stand-in that keeps all pictures, and is as strict as pyvirtualcam."""

    cameras: "list[Camera]" = []  # noqa: RUF012 - shared on purpose

    def __init__(self, width, height, fps, *, fmt, device=None, print_fps=False):
        assert fmt is PixelFormat.I420 and not print_fps
        if device == "missing":
            raise RuntimeError("'v4l2loopback' backend: Device missing does not exist.\nSee also")
        self.device = device or "/dev/video7"
        self.shape = (height * 3 // 2, width)
        self.fps, self.pictures, self.closed = fps, [], False
        Camera.cameras.append(self)

    def send(self, frame):
        if frame.dtype != np.uint8 or frame.shape != self.shape:
            raise ValueError(f"unexpected frame {frame.dtype} {frame.shape}")
        self.pictures.append(frame.copy())

    def close(self):
        self.closed = True


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    module = ModuleType("pyvirtualcam")
    module.Camera, module.PixelFormat = Camera, PixelFormat
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    Camera.cameras = []
    return Camera.cameras


def test_pictures_are_limited_range_bt601(tmp_path: Path, cameras: list[Camera]) -> None:
    """Full-range RGB red becomes red in limited-range BT.601."""
    with (
        clip(
            tmp_path,
            "a.nut",
            codec="rawvideo",
            pix_fmt="rgb24",
            frames=3,
            flat=(255, 0, 0),
            size=(65, 48),
        ) as source,
        open_writer("camera:", source.source) as writer,
    ):
        push_all(writer, source.items)
        push_all(writer, source.items)
    (camera,) = cameras
    assert camera.closed and len(camera.pictures) == 6 and camera.fps == 25
    picture = camera.pictures[0]
    assert abs(int(picture[10, 10]) - 81) <= 1
    chroma = picture[48:].reshape(2, -1)
    assert abs(int(chroma[0, 40]) - 90) <= 1 and abs(int(chroma[1, 40]) - 240) <= 1
    assert any("/dev/video7" in notice for notice in writer.notices)


def test_pictures_of_another_size_are_fitted_with_one_notice(
    tmp_path: Path, cameras: list[Camera]
) -> None:
    events: list[str] = []
    with (
        clip(tmp_path, "a.mkv", frames=2, audio=1) as first,
        clip(tmp_path, "b.mkv", frames=2, size=(128, 48)) as second,
    ):
        writer = open_writer("camera:x", first.source, on_event=events.append)
        push_all(writer, first.items)
        writer.change(second.source)
        push_all(writer, second.items)
        writer.close()
        writer.abort()
        with pytest.raises(OutputError, match="closed"):
            writer.push(first.frames[0])
    assert len(cameras[0].pictures) == 4 and cameras[0].device == "x"
    assert (cameras[0].pictures[-1][:8] == 16).all()
    assert len(events) == 1 and "128x48" in events[0]
    assert any("audio" in notice for notice in writer.notices)


def test_a_missing_device_is_reported_in_one_line(tmp_path: Path, cameras: list[Camera]) -> None:
    with clip(tmp_path, frames=2) as source, pytest.raises(OutputError) as raised:
        open_writer("camera:missing", source.source)
    text = str(raised.value)
    assert "camera:missing" in text and "v4l2loopback" in text and "OBS" in text
    assert "\n" not in text and not cameras


def test_a_missing_package_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with clip(tmp_path, frames=2) as source:
        with pytest.raises(OutputError, match=r"crsr-video\[camera\]"):
            open_writer("camera:", source.source)
        with pytest.raises(OutputError, match="no container"):
            open_writer("camera:", source.source, container="nut")
