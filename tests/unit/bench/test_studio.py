"""The benchmark of the studio, on one small clip."""

import json

import pytest

from crsr_video.bench import studio


@pytest.mark.processes
def test_a_studio_is_started_and_measured() -> None:
    (row,) = studio.measure(("360p",), play_seconds=0.5, scrub_seconds=0)
    assert row.size == "360p"
    assert row.first_frame_seconds > 0
    assert row.playing_fps > 0
    assert "fps" in studio.as_text([row])
    assert json.loads(studio.as_json([row]))["studio"][0]["size"] == "360p"
