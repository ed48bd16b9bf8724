"""MediaPipe's models for tests, which never download them."""

from pathlib import Path

import pytest

from crsr_video.errors import FaceModelError
from crsr_video.track import face_models


def face_model(name: str) -> Path:
    """Return the path of a real model, or skip the test that asks."""
    try:
        return face_models.resolve(name, fetch=False)
    except FaceModelError as error:
        pytest.skip(str(error))


def require_face_models() -> None:
    """Skip the test that asks, unless all models are on this machine."""
    for model in face_models.FACE_MODELS:
        face_model(model.name)
