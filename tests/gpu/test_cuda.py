"""Stages, networks and copies on a CUDA device, compared with the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.config import Config
from crsr_video.imaging.torch_operations import TorchOperations
from crsr_video.imaging.transfers import transfers_for
from crsr_video.networks import SuperResolver
from crsr_video.pipeline import build
from crsr_video.restoration import operations_for
from crsr_video.runtime.cuda_graphs import RecordedForward
from crsr_video.runtime.loading import load_networks
from crsr_video.runtime.placement import Placement, place
from crsr_video.runtime.predictor import Predictor
from crsr_video.stages.base import Stage
from crsr_video.types import TrackedFrame
from tests.support.frames import ALL, make_face, make_frame, same_planes
from tests.support.operations import NUMPY

CUDA = torch.device("cuda")
FACES = (make_face(40, 40, 50), make_face(90, 50, 60, 20, track=1))


class Given(Stage):
    """Stand-in for the tracker that finds two faces in every frame."""

    def push(self, frame):
        return [TrackedFrame(frame, FACES)]


def network():
    torch.manual_seed(3)
    made = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1))
    torch.nn.init.normal_(made.head.weight, std=0.02)
    return made.eval()


@pytest.fixture(scope="module")
def networks():
    return load_networks(Config.from_options(device="cuda", precision="fp32"))


def enhanced(pipe, frames):
    return [done for frame in frames for done in pipe.push(frame)] + pipe.flush()


def test_pictures_are_beside_networks_on_cuda():
    assert isinstance(operations_for(CUDA), TorchOperations)


@pytest.mark.parametrize("name", ALL)
def test_frames_come_out_as_from_the_processor(name, networks, rng):
    frames = [make_frame(name, 90, 130, rng, pts=n) for n in range(6)]
    config = Config.from_options(device="cuda", precision="fp32")
    ours, theirs = (
        enhanced(build(config, tracker=Given(), networks=networks, operations=o), frames)
        for o in (None, NUMPY)
    )
    bits = frames[0].layout.bits
    for frame, one, other in zip(frames, ours, theirs, strict=True):
        assert not same_planes(one, frame)
        for a, b in zip(one.components, other.components, strict=True):
            difference = np.abs(a.astype(int) - b)
            assert difference.max() <= 2 ** max(0, bits - 12)
            assert (difference > 0).mean() < (0.001 if bits <= 12 else 0.5)


def test_a_recorded_network_gives_what_it_gives_step_by_step():
    made = network().to(CUDA)
    recorded = RecordedForward(made)
    with torch.inference_mode():
        for count in (1, 5, 16):
            pictures = torch.rand(count, 3, 32, 32, device=CUDA)
            assert torch.allclose(recorded(pictures), made(pictures), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_predictor_gives_the_network_s_own_result(precision):
    expected = network()
    predict = Predictor(network(), place("cuda", precision))
    pictures = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        away = (predict(pictures).cpu() - expected(pictures)).abs().max()
    assert away < (1e-4 if precision == "fp32" else 0.02)


def test_a_predictor_leaves_the_precision_settings_of_the_process():
    before = torch.backends.cudnn.allow_tf32
    Predictor(network(), Placement(CUDA, torch.float32, "for the test"))(torch.rand(1, 3, 32, 32))
    assert torch.backends.cudnn.allow_tf32 == before


def test_values_travel_to_the_device_and_back():
    transfers = transfers_for(CUDA)
    host = transfers.host_memory((4, 5), torch.float32)
    host.copy_(torch.arange(20.0).reshape(4, 5))
    arrived = transfers.download(transfers.upload(host) + 1)
    assert np.array_equal(arrived(), np.arange(20.0).reshape(4, 5) + 1)


def test_an_out_of_memory_batch_is_halved(networks, rng):
    both = networks.predictors()
    sizes = []

    def limited(pictures):
        sizes.append(len(pictures))
        if len(pictures) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return both.consistify(pictures)

    shared = replace(both, consistify=limited)
    config = Config.from_options(device="cuda", precision="fp32")
    pipe = build(config, tracker=Given(), networks=replace(networks, shared=shared))
    frames = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(4)]
    assert len(enhanced(pipe, frames)) == 4
    assert max(sizes) > 3
