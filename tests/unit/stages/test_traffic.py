"""Copies between host and device, counted on a device that computes nothing: torch's "meta".

Any tensor that was forgotten on the processor, and any value that is asked for on the way, is an
error there.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.imaging.torch_operations import TorchOperations
from crsr_video.imaging.transfers import Transfers, transfers_for
from crsr_video.stages.align import Aligner
from crsr_video.stages.backoff import BackOff
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.paste import Paster
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage
from tests.support.frames import make_face, make_frame, tracked

NOWHERE = torch.device("meta")


class Counted(Transfers):
    """Stand-in for copies that counts their bytes."""

    def __init__(self):
        super().__init__(NOWHERE)
        self.ups, self.downs = [], []

    def host_memory(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)

    def upload(self, host):
        self.ups.append(host.nbytes)
        return host.to(NOWHERE)

    def download(self, tensor):
        assert tensor.device == NOWHERE
        self.downs.append(tensor.nbytes)
        array = torch.zeros(tensor.shape, dtype=tensor.dtype).numpy()
        return lambda: array


def larger(factor):
    """Stand-in for a network."""
    return lambda x: torch.nn.functional.interpolate(x, scale_factor=factor)


@pytest.fixture
def ways():
    return Counted()


def run(items, transfers):
    here = TorchOperations(NOWHERE, transfers)
    stages = [
        Aligner(here, batch=16, lookahead=7),
        ConsistifyStage(larger(1), here, batch=16),
        SuperResolveStage(larger(4), here, batch=16),
        Smoother(here),
        BackOff(here),
    ]
    for stage in stages:
        items = stage.push_all(items) + stage.flush()
    # Nothing was computed, so nothing is alike; yet it is to be pasted.
    items = [
        replace(i, faces=tuple(replace(f, strength=1.0, detail=0.5) for f in i.faces))
        for i in items
    ]
    return Paster(here).push_all(items)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p12", "rgb24", "gray10-limited"])
def test_pictures_stay_where_they_are(name, ways, rng):
    frame = make_frame(name, 100, 180, rng)
    faces = make_face(44, 52, 50, 20), make_face(124, 52, 50, 20, track=1)
    done = run([tracked(frame, *faces), tracked(replace(frame, pts=1), *faces)], ways)
    assert [len(frame.changed) for frame in done] == [2, 2]
    # The small crops of both frames come down for the search for motion, then the figures of all
    # faces at once, and then for each grid of the planes what changed.
    grids = 2 if frame.layout.family == "yuv" else 1
    assert len(ways.downs) == 2 + grids
    crops, pixels, figures = 4, 3 * 32**2, 6
    assert ways.downs[:2] == [4 * crops * pixels, 4 * crops * figures]


def test_only_the_neighbourhood_of_a_face_travels(ways, rng):
    frame = make_frame("yuv420p", 720, 1280, rng)
    run([tracked(frame, make_face(640, 300, 100, 10))], ways)
    whole = sum(plane.nbytes for plane in frame.components)
    # The crop's surroundings and then the changed box; the rest are some numbers.
    assert sum(ways.ups) < 0.05 * whole
    assert sum(ways.downs) < 0.015 * whole


def test_a_processor_needs_no_copies():
    ways = transfers_for(torch.device("cpu"))
    host = ways.host_memory((3,), torch.float32)
    assert ways.upload(host).data_ptr() == host.data_ptr()
    assert np.shares_memory(ways.download(host)(), host.numpy())
