"""The benchmark of the networks alone, and its limit."""

import json
import types

import pytest
import torch
from click.testing import CliRunner

from crsr_video.bench import networks, peak
from crsr_video.bench.case import face_macs, precision_of, unused_pair
from crsr_video.bench.networks import NetworkBenchSettings, NetworkFigures, as_dict, as_text
from crsr_video.cli import main
from crsr_video.errors import BenchError
from crsr_video.networks.costs import count_macs
from crsr_video.runtime import placement as devices
from tests.support.processor import needs_vnni

CPU = torch.device("cpu")


EIGHT = devices.Placement(CPU, torch.bfloat16, "int8, else bf16", int8=True)


def row(**changes):
    """Return a row with round numbers."""
    values = {
        "model": "fast",
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
        "compute_ms": 3.5,
        "device_bytes": 3 * 2**20,
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
        assert one["model"] == "fast" and one["side"] == 32
        assert one["method"].startswith(one["precision"])
        assert min(one["ms"], one["cpu_ms"], one["compute_ms"]) > 0
        assert one["faces_per_second"] == pytest.approx(1000 * one["batch"] / one["ms"])
        spent = one["cpu_ms"] / 1000
        assert one["achieved"] == pytest.approx(2 * one["face_macs"] * one["batch"] / spent)
        assert one["peak_share"] == pytest.approx(one["achieved"] / one["peak"])
        assert one["device"] == "cpu" and one["device_bytes"] == 0


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
    assert face_macs(pair, 32, 32, half=True) < 0.9 * face_macs(pair, 32, 32)


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


def test_the_table_has_a_row_for_each_batch():
    one = row()
    assert as_dict(one)["faces_per_second"] == 2000
    text = " ".join(as_text({"cores": "2"}, [one]).split())
    assert "| fast | fp16 | 64 px | 8 | 4.00 | 3.00 | 3.50 | 2000.0 | 2000 |" in text
    assert "GPU memory: 3 MiB at most." in text
    assert "GPU memory" not in as_text({}, [row(device_bytes=0)])


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
