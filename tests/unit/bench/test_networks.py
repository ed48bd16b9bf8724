"""The benchmark of the networks alone, and its limit."""

import json
import sys
import time
import types

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crsr_video.bench import backends, networks, peak, transfers
from crsr_video.bench.case import face_macs, precision_of, unused_pair
from crsr_video.bench.clip import face_crops
from crsr_video.bench.networks import NetworkBenchSettings, NetworkFigures, as_dict, as_text
from crsr_video.cli import main
from crsr_video.config import Config
from crsr_video.errors import BenchError
from crsr_video.imaging.transfers import Transfers
from crsr_video.networks.costs import count_macs
from crsr_video.runtime import placement as devices
from crsr_video.runtime.loading import load_networks
from tests.support.processor import needs_vnni

CPU = torch.device("cpu")


EIGHT = devices.Placement(CPU, torch.bfloat16, "int8, else bf16", int8=True)


def row(**changes):
    """Return a row with round numbers."""
    values = {
        "model": "fast",
        "runner": backends.OWN,
        "method": "fp16, recorded",
        "precision": "fp16",
        "device": "A GPU",
        "threads": 1,
        "side": 64,
        "batch": 8,
        "ms": 4.0,
        "cpu_ms": 3.0,
        "face_macs": 2_000_000_000,
        "achieved": 8e12,
        "peak": 80e12,
        "peak_kernel": "torch.matmul of fp16",
        "upload_ms": 0.5,
        "compute_ms": 3.5,
        "download_ms": 1.0,
        "device_bytes": 3 * 2**20,
        "psnr": None,
    }
    return NetworkFigures(**(values | changes))


def invoke(*options):
    return CliRunner().invoke(main, ["-q", "bench", "networks", *options])


@pytest.fixture(scope="module")
def result():
    done = invoke("--model", "fast", "--batch", "1,2", "--sides", "32", "--runs", "1", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_batch_has_all_results(result):
    assert {"processor", "torch"} <= set(result["machine"])
    assert [one["batch"] for one in result["networks"]] == [1, 2]
    for one in result["networks"]:
        assert one["model"] == "fast" and one["runner"] == "crsr-video" and one["side"] == 32
        assert one["method"].startswith(one["precision"])
        assert one["ms"] > 0 and one["cpu_ms"] > 0
        assert one["faces_per_second"] == pytest.approx(1000 * one["batch"] / one["ms"])
        spent = one["cpu_ms"] / 1000
        assert one["achieved"] == pytest.approx(2 * one["face_macs"] * one["batch"] / spent)
        assert one["peak_share"] == pytest.approx(one["achieved"] / one["peak"])
        assert one["device"] == "cpu" and one["device_bytes"] == 0
        assert one["upload_ms"] is one["compute_ms"] is one["download_ms"] is one["psnr"] is None
        assert one["transfer_share"] == 0


def test_multiply_adds_are_counted_by_layer(result):
    pair = unused_pair("fast")
    layer = pair.superresolver.stem
    expected = layer.out_channels * layer.in_channels * 9 * 16 * 16
    assert count_macs(torch.nn.Sequential(layer), torch.zeros(1, 3, 16, 16)) == expected
    assert {one["face_macs"] for one in result["networks"]} == {face_macs(pair, 32, 32)}


@pytest.mark.parametrize(
    ("method", "precision"),
    [("bf16, fused", "bf16"), ("fp32, step by step", "fp32"), ("in some other words", "int8")],
)
def test_the_reported_precision_is_that_of_the_method(method, precision):
    assert precision_of(method, EIGHT) == precision


def test_results_of_half_the_size_take_fewer_multiply_adds():
    pair = unused_pair("fast")
    assert face_macs(pair, 32, 32, half=True) < 0.8 * face_macs(pair, 32, 32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_peak_names_its_precision(precision):
    found = peak.measure(CPU, precision, seconds=0.02, side=128)
    assert found.rate > 1e8
    assert found.kernel.endswith(f"of {precision}")


@needs_vnni
def test_the_peak_of_int8_multiplies_integers():
    kernels = peak.kernels(CPU, "int8", 128)
    assert {multiply().dtype for multiply in kernels.values()} <= {torch.int32, torch.uint8}
    found = peak.measure(CPU, "int8", seconds=0.02, side=128)
    assert found.rate > 1e8 and found.kernel in kernels


def test_a_kernel_that_fails_is_skipped(monkeypatch):
    def fail():
        raise RuntimeError("not on this processor")

    working = {"broken": fail, "works": lambda: torch.ones(16, 16)}
    monkeypatch.setattr(peak, "kernels", lambda *_: working)
    assert peak.measure(CPU, "fp32", seconds=0.01).kernel == "works"
    monkeypatch.setattr(peak, "kernels", lambda *_: {"broken": fail})
    with pytest.raises(BenchError, match="nothing multiplies matrices of fp32 on cpu here"):
        peak.measure(CPU, "fp32")


def test_without_onednn_the_peak_is_that_of_matmul(monkeypatch):
    monkeypatch.setattr(torch, "ops", types.SimpleNamespace(mkldnn=object(), onednn=object()))
    monkeypatch.delattr(torch, "_int_mm", raising=False)
    assert peak.measure(CPU, "fp32", seconds=0.01, side=64).kernel == "torch.matmul of fp32"
    with pytest.raises(BenchError, match="nothing multiplies matrices of int8"):
        peak.measure(CPU, "int8", seconds=0.01, side=64)


def test_steps_on_a_device_are_timed_separately():
    """The processor takes the place of a GPU, so copies take almost no time."""

    def forward(x):
        time.sleep(0.01)
        return x.repeat_interleave(4, 2).repeat_interleave(4, 3)

    found = transfers.measure_steps(forward, Transfers(CPU), face_crops(10, 16), 2)
    assert min(found.upload_ms, found.download_ms) > 0
    assert found.compute_ms > 10 > found.upload_ms + found.download_ms


def test_rows_of_a_gpu_have_step_times(monkeypatch):
    """The processor takes the place of a GPU."""
    own = backends.own_backend

    def on_gpu(placed):
        chain = transfers.chain(placed.predictors())
        plain = own(placed)
        stream = backends.Stream(chain, Transfers(CPU))
        return backends.streamed(plain.method, plain.precision, stream)

    monkeypatch.setattr(backends, "own_backend", on_gpu)
    settings = NetworkBenchSettings(models=("identity",), batches=(9,), sides=(32,), runs=1)
    (found,) = networks.measure(settings)
    steps = (found.upload_ms, found.compute_ms, found.download_ms)
    assert min(steps) > 0
    assert found.transfer_share == pytest.approx((steps[0] + steps[2]) / sum(steps))
    assert "transfers" in as_text({}, [found])


def test_a_pair_is_chained_as_in_the_pipeline():
    placed = load_networks(Config.from_options(precision="fp32"))
    own = backends.own_backend(placed)
    assert own.stream is None  # There is no GPU.
    images = face_crops(2, 32)
    result = transfers.stream_batches(
        transfers.chain(placed.predictors()), Transfers(CPU), images, 1
    )
    assert result.shape == (2, 3, 128, 128)
    assert np.abs(result - own.run(images)).max() < 1e-6


class Late(Transfers):
    """Stand-in for copies whose results arrive when they are waited for."""

    device = CPU

    def __init__(self):
        super().__init__(CPU)
        self.begun, self.landed, self.most = 0, 0, 0

    def upload(self, host):
        return host.clone()

    def download(self, tensor):
        self.begun += 1
        self.most = max(self.most, self.begun - self.landed)

        def land():
            self.landed += 1
            return tensor.numpy()

        return land


def test_streamed_batches_leave_few_copies_pending():
    ways = Late()
    images = face_crops(9, 16)
    for count in (1, 7):
        result = transfers.stream_batches(lambda x: x + 1, ways, images, count)
        assert np.array_equal(result, images + 1)
    assert (ways.begun, ways.landed, ways.most) == (8, 8, 3)


def test_the_table_shows_the_share_of_transfers():
    one = row()
    assert one.transfer_share == pytest.approx(0.3)
    assert as_dict(one)["faces_per_second"] == 2000
    text = " ".join(as_text({"cores": "2"}, [one]).split())
    assert "| fast | crsr-video | fp16 | 64 px | 8 | 4.00 | 3.00 | 2000.0 | 2000 |" in text
    assert "| 0.50 | 3.50 | 1.00 | 30% |" in text
    assert "GPU memory: 3 MiB at most." in text
    assert "PSNR" not in text


def test_without_a_gpu_there_is_no_column_of_transfers():
    steps = {"upload_ms": None, "compute_ms": None, "download_ms": None, "device_bytes": 0}
    text = as_text({}, [row(**steps, psnr=51.25)])
    assert "transfers" not in text and "GPU" not in text.replace("A GPU", "")
    assert "51.2 dB" in text


def fake_runtime(name, monkeypatch, factor=1.0):
    """Replace another program by ours, with results multiplied by a factor."""
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(backends, "export", lambda model, path, **_: path.write_text(model))

    def make(given, path, placed):
        assert given is module and path.read_text() == "fast"
        run = backends.own_backend(placed).run
        return backends.BenchBackend(name, lambda x: factor * run(x), "fp32", "fp32")

    monkeypatch.setitem(backends.OTHERS, name, make)


def test_contenders_take_turns_and_are_compared(monkeypatch):
    fake_runtime("onnxruntime", monkeypatch, factor=0.5)
    settings = NetworkBenchSettings(
        models=("fast",), batches=(2,), sides=(32,), runs=1, against=("onnxruntime",)
    )
    ours, theirs = networks.measure(settings)
    assert (ours.runner, theirs.runner) == ("crsr-video", "onnxruntime")
    assert ours.psnr > 40 > 15 > theirs.psnr
    assert "PSNR to fp32" in as_text({}, [ours, theirs])


@pytest.mark.parametrize("name", backends.OTHERS)
def test_a_missing_program_is_reported_on_one_line(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    done = CliRunner().invoke(
        main, ["-q", "bench", "networks", "--model", "fast", "--against", name]
    )
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"crsr-video: error: {name} is not installed: pip install ")


def test_onnxruntime_computes_the_same():
    pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
    pytest.importorskip("onnxscript", reason="needs the extra 'export'")
    placed = load_networks(Config.from_options(precision="fp32"))
    images = face_crops(2, 32)
    with backends.other_backends(("onnxruntime",), "fast", placed, 0.75) as (theirs,):
        away = np.abs(theirs.run(images) - backends.own_backend(placed).run(images))
    assert away.max() < 1e-4


def test_a_batch_that_exceeds_memory_is_reported(monkeypatch):
    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(networks, "face_crops", fail)
    with pytest.raises(BenchError, match="1 crops of 64 pixels do not fit into the memory of cpu"):
        networks.measure(NetworkBenchSettings(models=("identity",), batches=(1,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "0"], "'0' is not a number of faces"),
        (["--batch", "1,many"], "'many' is not a number of faces"),
        (["--batch", "9" * 5000], "is not a number of faces"),
        (["--sides", "33"], "'33' is not a multiple of 4"),
        (["--sides", ""], "'' is not a multiple of 4"),
        (["--against", "tensorrt"], "tensorrt"),
        (["--precision", "fp8"], "fp8"),
        (["--runs", "0"], "--runs"),
    ],
)
def test_wrong_options_are_refused(options, message):
    done = invoke(*options)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "cuda:99"], "device 'cuda:99' was not found"),
        (["--precision", "fp16", "--device", "cpu"], "fp16 is slow and coarse on a CPU"),
        (["--model", "no-such-model"], "unknown model 'no-such-model'"),
    ],
)
def test_missing_devices_and_models_are_reported_on_one_line(options, message):
    done = invoke(*options)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert message in line
