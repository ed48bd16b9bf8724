import json
import time
import types
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crsr_video import errors
from crsr_video.bench import (
    Case,
    Figures,
    Startup,
    arithmetic,
    as_text,
    clip,
    passes,
    peak,
    run,
    startup,
)
from crsr_video.bench.case import Speed
from crsr_video.bench.measure import measure
from crsr_video.cli import main
from crsr_video.config import Config
from crsr_video.io.reader import Reader
from crsr_video.pipeline import load_networks
from crsr_video.runtime import devices
from crsr_video.track.tracker import Tracker
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
    with Reader(path) as decoder:
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


def test_the_arithmetic_that_was_used_is_told(figures):
    sums = figures.arithmetic
    assert sum(sums.used.values()) == pytest.approx(1)
    assert all(kernel for kernel in sums.peak_kernel.split(", "))
    assert sums.way.partition(",")[0] in ("int8", "bf16", "fp32")
    assert figures.device == "cpu"
    assert figures.device_bytes == figures.transfer_ms == figures.transfer_share == 0


def test_the_peak_of_two_arithmetics_is_what_their_own_peaks_allow(monkeypatch):
    """Large crops are not computed in eight bits."""
    rates = {"int8": 8e11, "bf16": 4e11}
    monkeypatch.setattr(peak, "measure", lambda _, name: peak.Peak(rates[name], f"of {name}"))
    placement = devices.Placement(torch.device("cpu"), torch.bfloat16, "", eight_bits=True)
    way = types.SimpleNamespace(way="int8, fused, with bf16 above 64 pixels")
    monkeypatch.setattr(arithmetic, "runner", lambda *_: way)
    networks = types.SimpleNamespace(placement=placement, windowed=())
    stages = {"consistify": 1.0, "super-resolve": 9.0}
    told = arithmetic.arithmetic(
        "fast", networks, passes.Apart(stages, Counter({32: 4, 128: 1}), 5)
    )
    # A crop of 128 has sixteen times the work of one of 32.
    assert told.used == {"int8": pytest.approx(0.2), "bf16": pytest.approx(0.8)}
    assert told.peak == pytest.approx(1 / (0.2 / 8e11 + 0.8 / 4e11))
    assert told.achieved == pytest.approx(2 * told.face_macs * 5 / 0.05)
    on_gpu = arithmetic.arithmetic("fast", networks, passes.Apart(stages, Counter({32: 4}), 5), 10)
    assert on_gpu.achieved == pytest.approx(2 * on_gpu.face_macs * 4 / 0.01)


def test_nothing_to_multiply_is_no_fault(monkeypatch):
    monkeypatch.setattr(peak, "measure", lambda _, name: peak.Peak(4e11, f"of {name}"))
    networks = load_networks(Config.from_options(model="identity", precision="bf16"))
    stages = {"consistify": 1.0, "super-resolve": 9.0}
    told = arithmetic.arithmetic("identity", networks, passes.Apart(stages, Counter({32: 1}), 5))
    assert (told.achieved, told.peak, told.used) == (0, 4e11, {"bf16": 1})


def test_what_a_gpu_copies_has_columns_of_its_own(figures):
    assert "transfers" not in as_text(Figures({}, (figures,)))
    gpu = replace(
        figures,
        enhanced=Speed(20.0, 30.0),
        device="A GPU",
        device_bytes=512 * 2**20,
        transfer_ms=1.5,
        notices=("cannot decode on cuda here: software is used",),
    )
    text = as_text(Figures({}, (gpu, figures)))
    assert "| 512 MiB | 1.50 ms | 8% |" in text
    assert "| - | - | - |" in text
    assert text.count("software is used") == 1
    untold = as_text(Figures({}, (replace(gpu, transfer_ms=None),)))
    assert "| 512 MiB | ? | ? |" in untold


def test_a_case_runs_where_it_was_told_to(sample):
    config = passes.config(replace(TINY, device="cpu", precision="fp32", hwaccel="auto"))
    assert (config.networks.device, config.networks.precision) == ("cpu", "fp32")
    assert config.reading.hwaccel == "auto"
    # No machine without NVIDIA's decoder decodes there: that is said, and nothing is lost.
    notices = passes.notices(replace(TINY, hwaccel="cuda"), sample)
    assert notices == () or "cuda" in notices[0]
    assert passes.notices(TINY, sample) == ()


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
    options += ["--device", "cpu", "--precision", "fp32"]
    done = CliRunner().invoke(main, ["bench", *options, "--runs", "1", "--no-startup", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (case,) = told["cases"]
    assert case["case"]["faces"] == 0
    assert case["case"]["device"] == case["device"] == "cpu"
    assert case["arithmetic"]["precision"] == "fp32"
    assert "fp32" in case["arithmetic"]["peak_kernel"]
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


def test_a_device_that_is_not_there_is_told_before_anything_is_made():
    done = CliRunner().invoke(main, ["-q", "bench", "--device", "cuda:99"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("crsr-video: error: device 'cuda:99' is not here")


@pytest.mark.parametrize("words", [["--json"], ["--model", "best"], ["--runs", "1"]])
def test_options_before_a_subcommand_are_refused(words):
    done = CliRunner().invoke(main, ["bench", *words, "networks"])
    assert done.exit_code == 2
    assert f"{words[0]} must stand after 'networks'" in done.output
