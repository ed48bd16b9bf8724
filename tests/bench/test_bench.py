import json
import time

import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video import errors
from crsr_video.bench import Case, Figures, Startup, as_text, clip, passes, run, startup
from crsr_video.bench.measure import measure
from crsr_video.cli import main
from crsr_video.decode import Decoder
from crsr_video.track import Tracker
from crsr_video.types import Frame

TINY = Case("360p", 1, "ultrafast", 12, "fast", 1)
STAGES = {"decode", "track", "align", "consistify", "super-resolve", "smooth", "paste"}
STAGES |= {"convert", "encode"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "clip.mp4"
    clip.write(path, clip.Sample(640, 360, 1, 12))
    return path


@pytest.fixture(scope="module")
def figures(sample):
    return measure(TINY, sample)


def frames_of(path):
    with Decoder(path) as decoder:
        return [item for item in decoder if isinstance(item, Frame)]


@pytest.mark.parametrize("faces", [0, 4])
def test_the_clip_shows_as_many_faces_as_asked_for(tmp_path, faces):
    path = tmp_path / "clip.mp4"
    clip.write(path, clip.Sample(640, 360, faces, 10))
    with Tracker() as tracker:
        done = [item for frame in frames_of(path) for item in tracker.push(frame)]
        done += tracker.flush()
    assert [len(item.faces) for item in done] == [faces] * 10


def test_the_clip_is_the_same_every_time_and_moves():
    sample = clip.Sample(160, 90, 1, 3)
    once, again = list(clip.pictures(sample)), list(clip.pictures(sample))
    assert np.array_equal(once, again)
    assert np.abs(once[0].astype(int) - once[2]).mean() > 0.5


def test_there_are_places_for_four_faces(tmp_path):
    with pytest.raises(ValueError, match="room for 4"):
        clip.write(tmp_path / "clip.mp4", clip.Sample(160, 90, 5, 1))


def test_a_case_has_all_its_figures(figures):
    assert set(figures.stages) >= STAGES
    assert all(ms >= 0 for ms in figures.stages.values())
    assert figures.stages["super-resolve"] > 0
    assert figures.enhanced_faces == 1
    assert figures.arithmetic.crop in (32, 64, 128)
    assert figures.arithmetic.face_macs > 1e8
    assert figures.arithmetic.achieved > 0
    assert figures.arithmetic.peak > 0
    assert figures.enhanced.cpu_ms > figures.plain.cpu_ms > 0
    assert figures.enhanced.fps > 0


def test_plain_transcoding_is_the_same_path_without_any_change(sample):
    passes.plain(TINY, sample)
    once = frames_of(sample.with_suffix(".out.mp4"))
    assert len(once) == 12


def test_the_tables_hold_every_case_and_the_start(figures):
    begun = Startup(1.5, {"imports": 1.0, "first frame": 0.5})
    text = as_text(Figures({"cores": "2"}, (figures,), begun))
    assert text.count("| 360p | 1 | ultrafast |") == 3
    assert "super-resolve" in text
    assert "1.50 s" in text
    assert "imports 1.00 s" in text


def test_the_command_prints_json():
    options = ["--sizes", "360p", "--faces", "0", "--preset", "ultrafast", "--frames", "12"]
    done = CliRunner().invoke(main, ["bench", *options, "--runs", "1", "--no-startup", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (case,) = told["cases"]
    assert case["case"]["faces"] == 0
    assert case["enhanced_faces"] == 0
    assert case["peak_bytes"] >= 0
    assert told["startup"] is None


def test_the_start_is_measured(sample):
    parts = startup.parts(sample, time.time())
    assert set(parts) == {"interpreter", "imports", "networks", "detectors", "first frame"}
    assert 0 < parts["networks"] < 60
    assert startup.total(sample, time.time()) > 0


def test_a_case_that_fails_is_told_in_one_line():
    with pytest.raises(errors.BenchError, match=r"measuring failed: .*no-such-model"):
        run([Case("360p", 0, "ultrafast", 12, "no-such-model", 1)])


@pytest.mark.parametrize(
    "options", [["--sizes", "8k"], ["--faces", "5"], ["--faces", "many"], ["--frames", "1"]]
)
def test_wrong_options_are_refused(options):
    done = CliRunner().invoke(main, ["bench", *options])
    assert done.exit_code == 2
