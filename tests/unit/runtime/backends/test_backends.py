import copy
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.networks import Bicubic, Consistifier, Identity, SuperResolver
from crsr_video.networks.fused import Fused
from crsr_video.networks.plan import walk
from crsr_video.networks.quantised import Observer, Quantised
from crsr_video.runtime import backends, devices, remembered
from crsr_video.runtime.backends import cuda, runner
from crsr_video.runtime.backends.cuda import NoLanes, Streamed
from crsr_video.runtime.devices import Placement

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)
needs_vnni = pytest.mark.skipif(
    not devices._computes_bytes(), reason="this processor cannot multiply bytes by itself"
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))


def network():
    torch.manual_seed(3)
    made = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1))
    torch.nn.init.normal_(made.head.weight, std=0.02)
    return made.eval()


def images(count=3, side=16):
    return np.random.default_rng(1).random((count, 3, side, side), np.float32)


@torch.inference_mode()
def expected(made, batch):
    return made(torch.from_numpy(batch)).numpy()


@pytest.mark.parametrize("made", [network(), Bicubic(), Identity(), Consistifier((4, 6, 8), 1)])
@torch.inference_mode()
def test_a_runner_gives_the_network_s_own_result(made):
    plain = copy.deepcopy(made)
    assert np.abs(runner(made, CPU)(images()) - expected(plain, images())).max() < 1e-5


@pytest.mark.parametrize("fault", ["missing", "wrong"])
@torch.inference_mode()
def test_a_way_that_does_not_work_here_is_not_taken(monkeypatch, fault):
    def broken(_network, _dtype):
        if fault == "missing":
            raise NotImplementedError("no such operation")
        return lambda picture: torch.zeros(1, 3, 64, 64) * picture.sum()

    monkeypatch.setattr(backends, "Fused", broken)
    made = network()
    plain = copy.deepcopy(made)
    assert np.abs(runner(made, CPU)(images()) - expected(plain, images())).max() < 1e-6


@needs_onednn
def test_the_fused_way_is_taken_where_it_works():
    assert isinstance(backends._fastest(network(), CPU)[1], Fused)
    assert runner(network(), CPU).way == "fp32, fused"


@pytest.fixture
def looked_at(monkeypatch):
    """Collects what is compared with the network itself."""
    own, calls = backends._away, []

    def away(forward, network):
        calls.append(type(forward).__name__)
        return own(forward, network)

    monkeypatch.setattr(backends, "_away", away)
    return calls


@needs_onednn
@torch.inference_mode()
def test_a_way_is_compared_with_the_network_once_on_a_machine(looked_at, monkeypatch):
    first = runner(network(), CPU)(images())
    assert len(looked_at) == 1
    assert np.array_equal(runner(network(), CPU)(images()), first)
    assert len(looked_at) == 1
    other = network()
    other.stem.bias.data[0] += 1e-3
    runner(other, CPU)
    assert len(looked_at) == 2
    runner(network(), replace(CPU, dtype=torch.bfloat16))
    assert len(looked_at) == 3
    monkeypatch.setattr(backends.devices, "identity", lambda: "another processor")
    runner(network(), CPU)
    assert len(looked_at) == 4


@needs_onednn
@torch.inference_mode()
@pytest.mark.parametrize("damage", ["torn", "gone", "not writable"])
def test_without_what_is_remembered_the_result_is_the_same(looked_at, damage, monkeypatch):
    first = runner(network(), CPU)(images())
    (path,) = remembered.folder().iterdir()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "gone":
        path.unlink()
    else:
        monkeypatch.setenv("CRSR_VIDEO_CACHE", str(path))
    assert np.array_equal(runner(network(), CPU)(images()), first)
    assert len(looked_at) == 2


@needs_onednn
@torch.inference_mode()
def test_a_way_that_computes_something_else_stays_out(monkeypatch):
    monkeypatch.setattr(backends, "_away", lambda *_: float("nan"))
    assert runner(network(), CPU).way == "fp32, step by step"
    monkeypatch.setattr(backends, "_away", lambda *_: 0.2)
    assert runner(network(), CPU).way == "fp32, step by step"
    monkeypatch.setattr(backends, "_away", lambda *_: 0.0)
    assert runner(network(), CPU).way == "fp32, step by step"  # it was 0.2, and stays it


@needs_vnni
@torch.inference_mode()
def test_large_pictures_leave_eight_bits_as_they_are(monkeypatch):
    """Where the way for them is the last one, it changes the network that it is given."""
    coarse = replace(CPU, dtype=torch.bfloat16, eight_bits=True)
    expected = measured(network())
    run = runner(measured(network()), coarse)
    assert run.way.startswith("int8")
    small = Quantised(expected, expected.ranges)(torch.from_numpy(images()))
    monkeypatch.setattr(backends, "Fused", lambda *_: 1 / {}["missing"])
    large = run(images(1, 96))
    assert np.abs(large - network()(torch.from_numpy(images(1, 96))).numpy()).max() < 0.02
    # Another batch: its weights are laid out only now.
    assert np.array_equal(run(images()), small.numpy())


def measured(made):
    observer = Observer(made)
    walk(made, observer, torch.from_numpy(images(4, 32)))
    made.ranges = observer.ranges
    return made


class Recording(NoLanes):
    """Tells in which order what was launched."""

    def __init__(self):
        self.told = []

    @contextmanager
    def _lane(self, name):
        self.told.append(name)
        yield

    def going_up(self):
        return self._lane("up")

    def computing(self, x):
        return self._lane(f"compute {len(x)}")

    def going_down(self, x):
        return self._lane(f"down {len(x)}")

    def wait(self):
        self.told.append("wait")


@torch.inference_mode()
def test_a_batch_travels_in_parts_and_is_waited_for_once():
    made, lanes = network(), Recording()
    streamed = Streamed(made, CPU.device, lanes=lanes, part=2)
    batch = images(5)
    before = batch.copy()
    found = streamed(batch)
    assert np.abs(found - expected(made, batch)).max() < 1e-6
    assert np.array_equal(batch, before)
    parts = [told for n in (2, 2, 1) for told in ("up", f"compute {n}", f"down {n}")]
    assert lanes.told == [*parts, "wait"]


@torch.inference_mode()
def test_results_of_one_batch_outlive_the_next():
    streamed = Streamed(lambda x: x, CPU.device)
    first = streamed(images(2))
    kept = first.copy()
    streamed(1 - images(2))
    assert np.array_equal(first, kept)


def test_nothing_of_cuda_is_touched_on_a_cpu(monkeypatch):
    monkeypatch.setattr(cuda, "CudaLanes", lambda _: 1 / 0)
    Streamed(lambda x: x, CPU.device)(images())
