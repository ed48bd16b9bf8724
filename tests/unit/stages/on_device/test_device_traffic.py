"""What travels, shown with a device that computes nothing: torch's "meta".

Any tensor that was forgotten on the processor, and any value that is asked for on the way, is an
error there.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.stages.on_device import steps
from crsr_video.stages.on_device.copies import PlainCopies, copies
from tests.support.frames import ALL, make_face, make_frame, tracked

NOWHERE = torch.device("meta")


class Counted:
    """Copies to and from nowhere, and their sizes in bytes."""

    device = NOWHERE

    def __init__(self):
        self.ups, self.downs = [], []

    def blank(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)

    def up(self, host):
        self.ups.append(host.nbytes)
        return host.to(NOWHERE)

    def down(self, tensor):
        assert tensor.device == NOWHERE
        self.downs.append(tensor.nbytes)
        array = torch.zeros(tensor.shape, dtype=tensor.dtype).numpy()
        return lambda: array


class Larger:
    """Stands for a predictor."""

    def __init__(self, factor):
        self._factor = factor

    def tensors(self, x):
        return torch.nn.functional.interpolate(x, scale_factor=self._factor)


@pytest.fixture
def ways(monkeypatch):
    counted = Counted()
    monkeypatch.setattr(steps, "copies", lambda _: counted)
    return counted


def run(items):
    device = steps.DeviceSteps(NOWHERE)
    stages = [
        device.align(),
        device.consistify(Larger(1), 16, 7),
        device.super_resolve(Larger(4), 16, 7),
        device.smooth(causal=False),
        device.back_off(),
    ]
    for stage in stages[:2]:
        items = [done for item in items for done in stage.push(item)] + stage.flush()
    items = stages[2].push_all(items)
    items = [done for item in items for done in stages[3].push(item)] + stages[3].flush()
    items = stages[4].push_all(items)
    # Nothing was computed, so nothing is alike; yet it is to be pasted.
    items = [
        replace(i, faces=tuple(replace(f, strength=1.0, detail=0.5) for f in i.faces))
        for i in items
    ]
    return device.paste(1.0, 1, "lanczos").push_all(items)


@pytest.mark.parametrize("name", ALL)
def test_pictures_stay_where_they_are(name, ways, rng):
    frame = make_frame(name, 100, 180, rng)
    faces = make_face(44, 52, 50, 20), make_face(124, 52, 50, 20, track=1)
    done = run([tracked(frame, *faces), tracked(replace(frame, pts=1), *faces)])
    assert [len(frame.changed) for frame in done] == [2, 2]
    # Figures of all faces at once, and for each grid of the planes what changed in all of them.
    grids = 2 if frame.layout.family == "yuv" else 1
    assert len(ways.downs) == 1 + grids
    assert ways.downs[0] == 4 * 5 * 4


def test_only_the_neighbourhood_of_a_face_travels(ways, rng):
    frame = make_frame("yuv420p", 720, 1280, rng)
    run([tracked(frame, make_face(640, 300, 100, 10))])
    whole = sum(plane.nbytes for plane in frame.components)
    # The crop's surroundings and then the changed box; the rest are some numbers.
    assert sum(ways.ups) < 0.05 * whole
    assert sum(ways.downs) < 0.015 * whole


def test_a_processor_needs_no_copies():
    ways = copies(torch.device("cpu"))
    assert isinstance(ways, PlainCopies)
    host = ways.blank((3,), torch.float32)
    assert ways.up(host).data_ptr() == host.data_ptr()
    assert np.shares_memory(ways.down(host)(), host.numpy())
