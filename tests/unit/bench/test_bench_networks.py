import json
import sys
import time
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crsr_video import weights
from crsr_video.bench import arithmetic, contenders, crops, networks, peak, transfers
from crsr_video.bench.network_figures import NetworkFigures, Wanted, as_dict
from crsr_video.bench.network_table import as_text
from crsr_video.cli import main
from crsr_video.config import Config
from crsr_video.errors import BenchError
from crsr_video.pipeline import load_networks
from crsr_video.runtime import devices
from crsr_video.runtime.backends import MOST_IN_BYTES
from crsr_video.runtime.backends.cuda import NoLanes, Streamed
from crsr_video.stages.on_device.copies import copies

CPU = torch.device("cpu")
EIGHT = devices.Placement(CPU, torch.bfloat16, "int8, else bf16", eight_bits=True)


def row(**changes):
    """Figures that are easily reckoned with."""
    told = {
        "model": "fast",
        "runner": contenders.OURS,
        "way": "fp16, recorded",
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
    return NetworkFigures(**(told | changes))


def invoke(*options):
    return CliRunner().invoke(main, ["-q", "bench", "networks", *options])


@pytest.fixture(scope="module")
def told():
    done = invoke("--model", "fast", "--batch", "1,2", "--sides", "32", "--runs", "1", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_batch_has_its_figures(told):
    assert {"processor", "torch"} <= set(told["machine"])
    assert [one["batch"] for one in told["networks"]] == [1, 2]
    for one in told["networks"]:
        assert one["model"] == "fast" and one["runner"] == "crsr-video" and one["side"] == 32
        assert one["way"].startswith(one["precision"])
        assert one["ms"] > 0 and one["cpu_ms"] > 0
        assert one["faces_per_second"] == pytest.approx(1000 * one["batch"] / one["ms"])
        spent = one["cpu_ms"] / 1000
        assert one["achieved"] == pytest.approx(2 * one["face_macs"] * one["batch"] / spent)
        assert one["peak_share"] == pytest.approx(one["achieved"] / one["peak"])
        assert one["device"] == "cpu" and one["device_bytes"] == 0
        assert one["upload_ms"] is one["compute_ms"] is one["download_ms"] is one["psnr"] is None
        assert one["transfer_share"] == 0


def test_the_multiply_adds_are_those_of_the_layers(told):
    pair = weights.load("fast")
    layer = pair.superresolver.stem
    expected = layer.out_channels * layer.in_channels * 9 * 16 * 16
    assert arithmetic.count_macs(torch.nn.Sequential(layer), 16) == expected
    parts = (pair.consistifier, pair.superresolver)
    total = sum(arithmetic.count_macs(part, 32) for part in parts)
    assert {one["face_macs"] for one in told["networks"]} == {total}


@pytest.mark.parametrize(
    ("way", "pixels", "precision"),
    [
        ("int8, fused, with bf16 above N pixels", MOST_IN_BYTES, "int8"),
        ("int8, fused, with bf16 above N pixels", MOST_IN_BYTES + 1, "bf16"),
        ("bf16, fused", 32**2, "bf16"),
        ("fp32, step by step", 128**2, "fp32"),
        ("in some other words", 32**2, "int8"),
    ],
)
def test_the_arithmetic_is_what_runs_not_what_was_chosen(way, pixels, precision):
    assert arithmetic.precision_at(way, pixels, EIGHT) == precision


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_peak_is_that_of_its_arithmetic(precision, monkeypatch):
    monkeypatch.setattr(peak, "_SECONDS", 0.02)
    monkeypatch.setitem(peak._SIDE, "cpu", 128)
    found = peak.measure(CPU, precision)
    assert found.rate > 1e8
    assert found.kernel.endswith(f"of {precision}")


@pytest.mark.skipif(not devices._computes_bytes(), reason="needs a processor with VNNI")
def test_the_peak_of_bytes_is_a_product_of_bytes(monkeypatch):
    monkeypatch.setattr(peak, "_SECONDS", 0.02)
    monkeypatch.setitem(peak._SIDE, "cpu", 128)
    kernels = dict(peak._of_bytes(CPU, "int8", 128))
    assert {multiply().dtype for multiply in kernels.values()} <= {torch.int32, torch.uint8}
    found = peak.measure(CPU, "int8")
    assert found.rate > 1e8 and found.kernel in kernels


def test_a_way_that_fails_is_no_peak_and_none_is_told(monkeypatch):
    def fail():
        raise RuntimeError("not on this processor")

    def slow():
        return torch.ones(16, 16)

    monkeypatch.setattr(peak, "_SECONDS", 0.01)
    monkeypatch.setattr(peak, "_of_floats", lambda *_: [("broken", fail), ("works", slow)])
    assert peak.measure(CPU, "fp32").kernel == "works"
    monkeypatch.setattr(peak, "_of_floats", lambda *_: [("broken", fail)])
    with pytest.raises(BenchError, match="nothing multiplies matrices of fp32 on cpu here"):
        peak.measure(CPU, "fp32")


def test_pictures_are_faces_that_differ_and_come_again():
    faces = crops.pictures(3, 64)
    assert faces.shape == (3, 3, 64, 64) and faces.dtype == np.float32
    assert faces.min() >= 0 and faces.max() <= 1
    assert np.array_equal(faces, crops.pictures(3, 64))
    assert np.abs(faces[0] - faces[1]).mean() > 0.01
    middle = faces[:, :, 24:40, 24:40].mean((0, 2, 3))
    assert middle[0] > middle[2] > 0.1  # skin: more red than blue


def test_steps_on_a_device_are_timed_apart():
    """On lanes that are none: what is measured is how the steps are told apart."""
    waits = []
    watch = transfers.Stopwatch(NoLanes(), lambda: waits.append(1))

    def forward(x):
        time.sleep(0.01)
        return x.repeat_interleave(4, 2).repeat_interleave(4, 3)

    images = crops.pictures(10, 16)
    run = Streamed(forward, CPU, lanes=watch, part=5)
    found = transfers.timed(run, watch, images, 2)
    assert min(found.upload_ms, found.download_ms) > 0
    assert found.compute_ms > 20
    copies = found.upload_ms + found.download_ms
    assert found.share == pytest.approx(copies / (copies + found.compute_ms))
    # Three rounds: the staging copy, and three steps of two parts, each of which is waited for
    # before and after.
    assert len(waits) == 3 * 2 * (1 + 3 * 2)


def test_a_gpu_has_its_steps_in_every_row(monkeypatch):
    """With a processor in its place: lanes that are none, and nothing to wait for."""
    own = contenders.ours

    def on_gpu(placed):
        first, second = placed.pair.consistifier, placed.pair.superresolver
        chain = transfers.chained(placed.predictor(first), placed.predictor(second))
        flow = transfers.Flow(chain, copies(CPU))
        return replace(own(placed), run=flow, forward=chain, flow=flow.many)

    monkeypatch.setattr(contenders, "ours", on_gpu)
    monkeypatch.setattr(transfers, "CudaLanes", lambda _: NoLanes())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    wanted = Wanted(models=("identity",), batches=(9,), sides=(32,), runs=1)
    (found,) = networks.measure(wanted)
    steps = (found.upload_ms, found.compute_ms, found.download_ms)
    assert min(steps) > 0
    assert found.transfer_share == pytest.approx((steps[0] + steps[2]) / sum(steps))
    assert "transfers" in as_text({}, [found])


def test_a_pair_is_chained_as_the_pipeline_does():
    placed = load_networks(Config.from_options(precision="fp32"))
    own = contenders.ours(placed)
    assert own.forward is None  # there is no GPU to time
    pair = placed.pair
    predictors = [placed.predictor(n) for n in (pair.consistifier, pair.superresolver)]
    images = crops.pictures(2, 32)
    made = Streamed(transfers.chained(*predictors), CPU)(images)
    assert made.shape == (2, 3, 128, 128)
    assert np.abs(made - own.run(images)).max() < 1e-6


def test_copies_are_known_among_all_that_a_gpu_did():
    events = [
        ("Memcpy HtoD (Pinned -> Device)", 1500.0),
        ("Memcpy DtoH (Device -> Pinned)", 500.0),
        ("Memcpy DtoD (Device -> Device)", 9000.0),
        ("Memset (Device)", 9000.0),
        ("void cutlass::Kernel2<gemm>", 9000.0),
    ]
    assert transfers.copies_ms(events) == 2.0
    assert transfers.copies_ms(events[2:]) is None


class Late:
    """Ways to a device on which results land when they are waited for."""

    def __init__(self):
        self.begun, self.landed, self.most = 0, 0, 0

    def blank(self, shape, dtype):
        return torch.empty(shape, dtype=dtype)

    def up(self, host):
        return host.clone()

    def down(self, tensor):
        self.begun += 1
        self.most = max(self.most, self.begun - self.landed)

        def land():
            self.landed += 1
            return tensor.numpy()

        return land


def test_batches_flow_with_few_under_way_and_all_land():
    ways = Late()
    flow = transfers.Flow(lambda x: x + 1, ways)
    images = crops.pictures(9, 16)
    assert np.array_equal(flow(images), images + 1)
    assert np.array_equal(flow.many(images, 7), images + 1)
    assert (ways.begun, ways.landed, ways.most) == (8, 8, 3)


def test_timing_changes_no_result():
    images = crops.pictures(3, 16)
    watch = transfers.Stopwatch(NoLanes(), lambda: None)
    timed = Streamed(lambda x: x + 1, CPU, lanes=watch)(images)
    assert np.array_equal(timed, images + 1)


def test_the_share_of_transfers_stands_in_the_table():
    one = row()
    assert one.transfer_share == pytest.approx(0.3)
    assert as_dict(one)["faces_per_second"] == 2000
    text = as_text({"cores": "2"}, [one])
    assert "| fast | crsr-video | fp16 | 64 px | 8 | 4.00 | 3.00 | 2000.0 | 2000 |" in text
    assert "| 0.50 | 3.50 | 1.00 | 30% |" in text
    assert "Memory of the GPU: 3 MiB at most." in text
    assert "PSNR" not in text


def test_without_a_gpu_there_is_no_column_of_transfers():
    steps = {"upload_ms": None, "compute_ms": None, "download_ms": None, "device_bytes": 0}
    text = as_text({}, [row(**steps, psnr=51.25)])
    assert "transfers" not in text and "GPU" not in text.replace("A GPU", "")
    assert "51.2 dB" in text


def fake_runtime(name, monkeypatch, factor=1.0):
    """In place of another program: makes what ours makes, times a factor."""
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(contenders, "export", lambda model, path: path.write_text(model))

    def make(given, path, placed):
        assert given is module and path.read_text() == "fast"
        run = contenders.ours(placed).run
        return contenders.Contender(name, lambda x: factor * run(x), "fp32", lambda _: "fp32")

    monkeypatch.setitem(contenders._MAKERS, name, make)


def test_contenders_take_turns_and_are_compared(monkeypatch):
    fake_runtime("onnxruntime", monkeypatch, factor=0.5)
    monkeypatch.setattr(peak, "_SECONDS", 0.02)
    wanted = Wanted(models=("fast",), batches=(2,), sides=(32,), runs=1, against=("onnxruntime",))
    ours, theirs = networks.measure(wanted)
    assert (ours.runner, theirs.runner) == ("crsr-video", "onnxruntime")
    assert ours.psnr > 40 > 15 > theirs.psnr
    assert "PSNR to fp32" in as_text({}, [ours, theirs])


@pytest.mark.parametrize("name", contenders.RIVALS)
def test_another_program_that_is_missing_costs_one_line(name, monkeypatch):
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
    images = crops.pictures(2, 32)
    with contenders.rivals(("onnxruntime",), "fast", placed) as (theirs,):
        away = np.abs(theirs.run(images) - contenders.ours(placed).run(images))
    assert away.max() < 1e-4


def test_what_does_not_fit_into_memory_is_told(monkeypatch):
    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(networks._Match, "play", fail)
    with pytest.raises(BenchError, match="1 crops of 64 pixels do not fit into the memory of cpu"):
        networks.measure(Wanted(models=("identity",), batches=(1,)))


@pytest.mark.parametrize(
    ("options", "told"),
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
def test_wrong_options_are_refused(options, told):
    done = invoke(*options)
    assert done.exit_code == 2
    assert told in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--device", "cuda:99"], "device 'cuda:99' is not here"),
        (["--precision", "fp16", "--device", "cpu"], "fp16 is slow and coarse on a CPU"),
        (["--model", "no-such-model"], "unknown model 'no-such-model'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(options, told):
    done = invoke(*options)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert told in line
