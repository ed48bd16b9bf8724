"""MediaPipe's models for tests, which never download them: the installation has them."""

from pathlib import Path

from crsr_video.track import face_models


def face_model(name: str) -> Path:
    """Return the path of a model."""
    return face_models.resolve(name, fetch=False)


def require_face_models() -> None:
    """Fail unless all models are on this machine, and say how to get them."""
    face_models.resolve_all(fetch=False)
