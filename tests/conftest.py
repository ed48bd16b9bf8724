"""Rules for all tests: one thread per library, and no error in the log."""

import logging
import os
from collections.abc import Iterator

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and OpenCV start their teams


class _Errors(logging.Handler):
    """Collects messages that are logged as errors or worse."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # FFmpeg may complain about a damaged fixture; that is what the fixture is for.
        if not record.name.startswith("libav"):
            self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_logged_errors() -> Iterator[None]:
    """Fail any test during which an error is logged: errors are raised, never only logged."""
    handler = _Errors()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
    assert not handler.lines, f"logged: {handler.lines}"


@pytest.fixture(autouse=True)
def usual_log_level() -> Iterator[None]:
    """Undo the log level that a command with --quiet or --verbose sets for its process."""
    yield
    logging.getLogger("crsr_video").setLevel(logging.NOTSET)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def face_models() -> None:
    """Fail a test that needs MediaPipe's models where they are missing. Nothing is downloaded."""
    from tests.support.face_models import require_face_models  # Imports OpenCV.

    require_face_models()
