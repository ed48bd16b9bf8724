"""``crsr-video preview``: one frame before and after."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from crsr_video.cli import main
from tests.support.paths import PORTRAIT

pytestmark = pytest.mark.usefixtures("face_models")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["preview", *(str(word) for word in words)])


def test_the_frame_at_a_time_is_shown_before_and_after(tmp_path: Path) -> None:
    result = run(PORTRAIT, "--at", "0:01.49", "-o", tmp_path / "a.png", "--precision", "fp32")
    assert result.exit_code == 0, result.stderr
    assert "1 of 1 face enhanced at 0:01.5" in result.stderr
    sheet = cv2.imread(str(tmp_path / "a.png")).astype(int)
    with av.open(str(PORTRAIT)) as file:
        frame = min(file.decode(video=0), key=lambda frame: abs(frame.time - 1.49))
    wanted = frame.to_ndarray(format="bgr24").astype(int)
    height, width = wanted.shape[:2]
    assert sheet.shape == (height + 16 + 2 * 8, 2 * width + 3 * 8, 3)
    before = sheet[24 : 24 + height, 8 : 8 + width]
    after = sheet[24 : 24 + height, 16 + width : 16 + 2 * width]
    assert np.abs(before - wanted).mean() < 2
    changed = np.abs(before - after).max(2) > 0
    assert np.abs(before - after).max() > 3
    assert not changed[:, :40].any()
    assert 0 < changed.mean() < 0.5


def test_a_share_is_that_of_the_duration(tmp_path: Path) -> None:
    for share, time in (("50%", "0:01.5"), ("100%", "0:03.0"), ("0%", "0:00.0")):
        output = tmp_path / f"{share}.png"
        result = run(PORTRAIT, "--at", share, "--model", "identity", "-o", output)
        assert result.exit_code == 0, result.stderr
        assert f" at {time}" in result.stderr


def test_settings_are_those_of_enhance(tmp_path: Path) -> None:
    plain = run(PORTRAIT, "--strength", "0", "-o", tmp_path / "a.png")
    assert plain.exit_code == 0, plain.stderr
    large = run(PORTRAIT, "--scale", "2", "--model", "identity", "-o", tmp_path / "b.jpg")
    assert large.exit_code == 0, large.stderr
    with Image.open(tmp_path / "a.png") as small, Image.open(tmp_path / "b.jpg") as big:
        assert abs(big.width - 2 * small.width) <= 24
        pixels = np.asarray(small).astype(int)
    middle = pixels.shape[1] // 2
    np.testing.assert_array_equal(pixels[24:-8, 8 : middle - 4], pixels[24:-8, middle + 4 : -8])


def test_a_photo_has_a_preview_too(tmp_path: Path) -> None:
    source = tmp_path / "wall.jpg"
    Image.new("RGB", (128, 96), (90, 90, 90)).save(source)
    result = run(source)
    assert "No face" in result.stderr
    assert (tmp_path / "wall.preview.png").is_file()
    for place in ("1", "50%"):
        assert "--at is for videos" in run(source, "--at", place, "--overwrite").stderr


def test_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"precious")
    new = ("-o", tmp_path / "b.png")
    for words, text, code in (
        ((PORTRAIT, "-o", tmp_path / "a.png"), "--overwrite replaces it", 1),
        ((PORTRAIT, "-o", tmp_path / "a.mp4"), "must end in .png, .jpg or .jpeg", 2),
        ((PORTRAIT, "--at", "1:00", *new), "is only 3.0 s long: there is no frame at 60 s", 1),
        ((PORTRAIT, "--at", "150%", *new), "150% is not between 0 and 1", 2),
        ((tmp_path / "none.mp4",), "no such file", 1),
    ):
        result = run(*words)
        assert result.exit_code == code
        assert text in result.stderr.splitlines()[-1]
    wrong = run(PORTRAIT, "--at", "soon")
    assert wrong.exit_code == 2
    assert "use seconds such as 12.5, minutes such as 0:12.5" in wrong.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
