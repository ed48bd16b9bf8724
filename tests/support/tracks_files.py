"""Recordings and tracks files for tests."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from crsr_video.track.tracks_file import Recorder, Recording, TrackingSettings, VideoFacts, write
from tests.support.frames import make_face, make_frame, tracked

FACTS = VideoFacts(
    width=80,
    height=60,
    time_base=Fraction(1, 25),
    rotation=0,
    sample_aspect=Fraction(1),
    bytes=1234,
    seconds=0.4,
    sha256="0" * 64,
)
SETTINGS = TrackingSettings(min_face=16.0, lookahead=8)
PICTURE = make_frame("yuv420p", 60, 80, np.random.default_rng(1))


def frame(pts: int) -> Any:
    return replace(PICTURE, pts=pts)


def recording(frames: int = 4) -> Recording:
    """Return tracks of face 1 in every frame, and of face 3 in the second half."""
    recorder = Recorder()
    for number in range(frames):
        faces = [make_face(30 + number / 3, 30, 32, degrees=7 * number, track=1, confidence=0.875)]
        if number >= frames // 2:
            why = "smaller than 16 px" if number == frames - 1 else None
            faces.append(make_face(50, 20, 24.7, track=3, presence=0.5, skipped=why))
        cut = number in (0, frames // 2)
        recorder.add(tracked(frame(number * 2), *faces, cut=cut))
    return recorder.recording(FACTS, SETTINGS, "test", {1: "data:image/jpeg;base64,AAAA"})


def document(path: Path) -> Any:
    """Write a valid tracks file, and return it as Python objects to be changed."""
    write(recording(), path)
    return json.loads(path.read_text())
