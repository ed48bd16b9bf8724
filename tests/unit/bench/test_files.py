"""The benchmark of whole files: the generated clip, the measurements, the tables, the command."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video import errors
from crsr_video.bench import case as measuring
from crsr_video.bench import clip, peak, suite
from crsr_video.bench.suite import BenchCase, BenchFigures, Speed, Startup
from crsr_video.cli import main
from crsr_video.config import Config
from crsr_video.io.reader import Reader
from crsr_video.records import from_json, to_json
from crsr_video.runtime.loading import load_networks
from crsr_video.track.tracker import Tracker
from crsr_video.types import Frame

TINY = BenchCase("360p", 1, "ultrafast", 12, "fast", 1)
STAGES = {"decode", "track", "align", "consistify", "super-resolve", "smooth", "paste"}
STAGES |= {"convert", "encode"}
SMALL, LARGE = (measuring.ComputedCrop(side, side, side) for side in (32, 128))
STAGE_MS = {"consistify": 1.0, "super-resolve": 9.0}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "clip.mp4"
    clip.write(path, clip.ClipProperties(640, 360, 1, 12))
    return path


@pytest.fixture(scope="module")
def figures(sample):
    return measuring.measure(TINY, sample)


def frames_of(path):
    with Reader(path) as reader:
        return [item for item in reader if isinstance(item, Frame)]


@pytest.mark.parametrize("faces", [0, 4])
def test_the_clip_shows_the_requested_number_of_faces(tmp_path, faces):
    path = tmp_path / "clip.mp4"
    clip.write(path, clip.ClipProperties(640, 360, faces, 10))
    with Tracker() as tracker:
        tracked = [item for frame in frames_of(path) for item in tracker.push(frame)]
        tracked += tracker.flush()
    assert [len(item.faces) for item in tracked] == [faces] * 10


def test_the_clip_is_reproducible_and_moves():
    sample = clip.ClipProperties(160, 90, 1, 3)
    first, second = list(clip.pictures(sample)), list(clip.pictures(sample))
    assert np.array_equal(first, second)
    assert np.abs(first[0].astype(int) - first[2]).mean() > 0.5


def test_more_than_four_faces_are_refused(tmp_path):
    with pytest.raises(ValueError, match="use 0 to 4"):
        clip.write(tmp_path / "clip.mp4", clip.ClipProperties(160, 90, 5, 1))


def test_face_crops_differ_and_are_reproducible():
    faces = clip.face_crops(3, 64)
    assert faces.shape == (3, 3, 64, 64) and faces.dtype == np.float32
    assert faces.min() >= 0 and faces.max() <= 1
    assert np.array_equal(faces, clip.face_crops(3, 64))
    assert np.abs(faces[0] - faces[1]).mean() > 0.01
    red, _, blue = faces[:, :, 24:40, 24:40].mean((0, 2, 3))
    assert red > blue > 0.1  # Skin.


def test_a_case_has_all_results(figures):
    assert set(figures.stages) >= STAGES
    assert all(ms >= 0 for ms in figures.stages.values())
    assert figures.stages["super-resolve"] > 0
    assert figures.enhanced_faces == 1
    assert figures.networks.crop in (32, 64, 128)
    assert figures.networks.face_macs > 1e8
    assert figures.networks.achieved > 0
    assert figures.networks.peak > 0
    assert figures.enhanced.cpu_ms > figures.plain.cpu_ms > 0
    assert figures.enhanced.fps > 0


def test_results_survive_json(figures):
    assert from_json(type(figures), json.loads(json.dumps(to_json(figures)))) == figures


def test_the_precision_in_use_is_reported(figures):
    networks = figures.networks
    assert networks.peak_kernel
    assert networks.method.partition(",")[0] == networks.precision
    assert figures.device == "cpu"
    assert figures.device_bytes == 0


def test_the_throughput_counts_every_crop(monkeypatch):
    monkeypatch.setattr(peak, "measure", lambda _, name: peak.Peak(4e11, f"of {name}"))
    networks = load_networks(Config.from_options(precision="bf16"))
    times = measuring.StageTimes(STAGE_MS, Counter({SMALL: 4, LARGE: 1}), 5)
    found = measuring.network_speed("fast", networks, times)
    # A crop of 128 pixels needs sixteen times the work of one of 32.
    pair = measuring.unused_pair("fast")
    assert found.face_macs == pytest.approx(measuring.face_macs(pair, 32, 32) * (4 + 16) / 5)
    assert found.achieved == pytest.approx(2 * found.face_macs * 5 / 0.05)
    times = measuring.StageTimes(STAGE_MS, Counter({SMALL: 4}), 5)
    on_gpu = measuring.network_speed("fast", networks, times, 10)
    assert on_gpu.achieved == pytest.approx(2 * on_gpu.face_macs * 4 / 0.01)


def test_networks_without_multiplications_have_no_throughput(monkeypatch):
    monkeypatch.setattr(peak, "measure", lambda _, name: peak.Peak(4e11, f"of {name}"))
    networks = load_networks(Config.from_options(model="identity", precision="bf16"))
    times = measuring.StageTimes(STAGE_MS, Counter({SMALL: 1}), 5)
    found = measuring.network_speed("identity", networks, times)
    assert (found.achieved, found.peak, found.precision) == (0, 4e11, "bf16")


def test_the_table_shows_gpu_columns_only_with_a_gpu(figures):
    assert "GPU memory" not in suite.as_text(BenchFigures({}, (figures,)))
    gpu = replace(
        figures,
        enhanced=Speed(20.0, 30.0),
        device="A GPU",
        device_bytes=512 * 2**20,
        notices=("cannot decode on cuda here: software is used",),
    )
    text = " ".join(suite.as_text(BenchFigures({}, (gpu, figures))).split())
    assert "| 512 MiB |" in text
    assert "| - |" in text
    assert text.count("software is used") == 1


def test_a_case_runs_on_the_requested_device(sample):
    config = measuring.configuration(replace(TINY, device="cpu", precision="fp32", hwaccel="auto"))
    networks = config.networks
    assert (networks.device, networks.precision) == ("cpu", "fp32")
    assert config.reading.hwaccel == "auto"
    # A machine without NVIDIA's decoder prints a notice and decodes in software.
    notices = measuring.decoder_notices(replace(TINY, hwaccel="cuda"), sample)
    assert notices == () or "cuda" in notices[0]
    assert measuring.decoder_notices(TINY, sample) == ()


def test_plain_transcoding_keeps_every_frame(sample):
    measuring.transcode(TINY, sample)
    assert len(frames_of(measuring.output_path(sample))) == 12


def test_the_tables_show_every_case_and_the_startup(figures):
    text = suite.as_text(BenchFigures({"cores": "2"}, (figures,), Startup(0.25, 1.5)))
    assert " ".join(text.split()).count("| 360p | 1 | ultrafast |") == 3
    assert "super-resolve" in text
    assert "Start-up: 0.25 s for --help, 1.50 s to the first enhanced frame" in text


@pytest.mark.processes
def test_the_command_prints_json():
    options = ["--sizes", "360p", "--faces", "0", "--preset", "ultrafast", "--frames", "12"]
    options += ["--device", "cpu", "--precision", "fp32"]
    done = CliRunner().invoke(main, ["bench", *options, "--runs", "1", "--no-startup", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    (case,) = result["cases"]
    assert case["case"]["faces"] == 0
    assert case["case"]["device"] == case["device"] == "cpu"
    assert case["networks"]["precision"] == "fp32"
    assert "fp32" in case["networks"]["peak_kernel"]
    assert case["enhanced_faces"] == 0
    assert case["peak_bytes"] >= 0
    assert result["startup"] is None


@pytest.mark.processes
def test_the_startup_is_measured(sample):
    found = suite.measure_startup(sample, 1)
    assert 0 < found.help_seconds < found.first_frame_seconds


def test_a_failed_case_is_reported_on_one_line():
    with pytest.raises(errors.BenchError, match=r"measuring failed: .*no-such-model"):
        suite.run([BenchCase("360p", 0, "ultrafast", 12, "no-such-model", 1)])


@pytest.mark.parametrize(
    "options",
    [
        ["--sizes", "8k"],
        ["--faces", "5"],
        ["--faces", "many"],
        ["--frames", "1"],
        ["--precision", "fp8"],
        ["--hwaccel", "magic"],
    ],
)
def test_wrong_options_are_refused(options):
    done = CliRunner().invoke(main, ["bench", *options])
    assert done.exit_code == 2


def test_a_missing_device_is_reported_before_anything_is_made():
    done = CliRunner().invoke(main, ["-q", "bench", "--device", "cuda:99"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("crsr-video: error: device 'cuda:99' was not found")


@pytest.mark.parametrize("words", [["--json"], ["--model", "best"], ["--runs", "1"]])
def test_options_before_a_subcommand_are_refused(words):
    done = CliRunner().invoke(main, ["bench", *words, "networks"])
    assert done.exit_code == 2
    assert f"{words[0]} must stand after 'networks'" in done.output
