"""Fixtures for tests of stages."""

import pytest

from crsr_video.stages import face_detail


@pytest.fixture
def measured(monkeypatch):
    """Return fake measurements: "side" in pixels, "noise" (RMS), and the number of "calls"."""
    said = {"side": 32.0, "noise": 0.0, "calls": 0}

    def fake(_picture):
        said["calls"] += 1
        return said["side"]

    monkeypatch.setattr(face_detail, "detail_side", fake)
    monkeypatch.setattr(face_detail, "lost_at", lambda _picture, _size: (0.0, said["noise"]))
    return said
