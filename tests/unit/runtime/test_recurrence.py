"""The super-resolver with memory: what it remembers, of whom, and for how long."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.networks import Memory, SuperResolver
from crsr_video.runtime.batches import Predictor, RecurrentPredictor
from crsr_video.runtime.devices import Placement
from crsr_video.stages.superres import RecurrentStage, super_resolve
from crsr_video.types import Crop
from tests.support.frames import flat_frame, make_face, tracked

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")
PLACE = np.array([[0.5, -0.1, 3.0], [0.1, 0.5, -2.0]])


def networks():
    torch.manual_seed(3)
    pair = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1)), Memory(4, 4)
    for network in pair:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return pair


def stage(memory=None):
    superresolver, trained = networks()
    return RecurrentStage(RecurrentPredictor(superresolver, memory or trained, CPU))


def face(rng, track=1, size=8):
    image = rng.random((3, size, size), np.float32)
    crop = Crop(image, PLACE)
    return replace(make_face(), track=track, crop=crop, consistent=crop)


def item(*faces, cut=False):
    return replace(tracked(flat_frame("gray", 4, 4, (0, 0, 0)), *faces), cut=cut)


def shown(stage, *faces, cut=False):
    (done,) = stage.push(item(*faces, cut=cut))
    return [f.enhanced and f.enhanced.image for f in done.faces]


def alone(some_face):
    """What the single-frame stage makes of a face."""
    (done,) = super_resolve(Predictor(networks()[0], CPU)).push(item(some_face))
    return done.faces[0].enhanced.image


def test_a_face_seen_for_the_first_time_is_as_without_memory(rng):
    first = face(rng)
    (picture,) = shown(stage(), first)
    assert np.allclose(picture, alone(first), atol=1e-5)


def test_the_second_frame_knows_the_first(rng):
    first, other, second = face(rng), face(rng), face(rng)
    one, two = stage(), stage()
    shown(one, first)
    shown(two, other)
    (after_first,), (after_other,) = shown(one, second), shown(two, second)
    assert not np.allclose(after_first, after_other, atol=1e-4)
    assert not np.allclose(after_first, alone(second), atol=1e-4)


def test_what_the_consistifier_took_away_counts_only_with_a_past(rng):
    first, second = face(rng), face(rng)
    noisy = replace(second, crop=Crop(rng.random((3, 8, 8), np.float32), PLACE))
    with_past, without = [], []
    for now in (second, noisy):
        recurrent = stage()
        shown(recurrent, first)
        with_past += shown(recurrent, now)
        without += shown(stage(), now)
        assert np.allclose(without[-1], alone(now), atol=1e-5)
    # The slow colours follow the seen crop in either case; the memory must add to that.
    only_tint = without[1] - without[0]
    assert not np.allclose(with_past[1] - with_past[0], only_tint, atol=1e-4)


def test_an_untrained_memory_changes_nothing(rng):
    recurrent = stage(Memory(4, 4))
    for _ in range(3):
        some = face(rng)
        (picture,) = shown(recurrent, some)
        assert np.allclose(picture, alone(some), atol=1e-5)


@pytest.mark.parametrize("what", ["cut", "gap", "tier", "reset", "track"])
def test_memory_ends_with_what_it_was_of(rng, what):
    recurrent, second = stage(), face(rng)
    shown(recurrent, face(rng, size=12 if what == "tier" else 8, track=9 if what == "track" else 1))
    if what == "gap":
        shown(recurrent)
    if what == "reset":
        recurrent.reset()
    (picture,) = shown(recurrent, second, cut=what == "cut")
    assert np.allclose(picture, alone(second), atol=1e-5)


def test_faces_of_one_frame_do_not_see_each_other(rng):
    frames = [[face(rng, track), face(rng, track), face(rng, track)] for track in (1, 2)]
    together, apart = stage(), [stage(), stage()]
    for number in range(3):
        both = shown(together, frames[0][number], frames[1][number])
        for index in range(2):
            (single,) = shown(apart[index], frames[index][number])
            assert np.allclose(both[index], single, atol=1e-5)


def test_sizes_and_faces_without_crop_mix(rng):
    small, large, left = face(rng, 1, 8), face(rng, 2, 12), make_face(track=3)
    recurrent = stage()
    for _ in range(2):
        sizes = [None if p is None else p.shape[-1] for p in shown(recurrent, small, left, large)]
        assert sizes == [32, None, 48]


def test_memory_is_bounded_by_the_faces_of_one_frame(rng):
    recurrent = stage()
    for track in range(20):
        shown(recurrent, face(rng, track))
    assert len(recurrent._before) == 1
    assert recurrent.lookahead == 0 and recurrent.flush() == []
