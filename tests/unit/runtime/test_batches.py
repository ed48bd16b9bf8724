from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.networks import Bicubic, Consistifier, Identity
from crsr_video.runtime.batches import BatchStage, Predictor
from crsr_video.runtime.devices import Placement
from crsr_video.types import Crop
from tests.support.frames import crop_of, flat_frame, make_face, tracked

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")


class Doubler:
    """A network that doubles values, and remembers the shapes it was given."""

    def __init__(self):
        self.shapes = []

    def __call__(self, images):
        self.shapes.append(images.shape)
        return images * 2


def stage(predict, **options):
    return BatchStage(
        predict,
        lambda face: face.crop,
        lambda face, image: replace(face, consistent=Crop(image, face.crop.crop_from_frame)),
        **options,
    )


def item(number, *faces):
    frame = replace(flat_frame("gray", 4, 4, (0, 0, 0)), pts=number)
    return tracked(frame, *faces)


def face(value, size=8, track=0):
    return replace(make_face(), track=track, crop=crop_of(value, size))


def values(items):
    return [
        [f.consistent.image[0, 0, 0] if f.consistent else None for f in item.faces]
        for item in items
    ]


def test_every_face_gets_its_own_result_in_order():
    doubler = Doubler()
    done = stage(doubler).push(item(0, face(0.1), face(0.2), face(0.3)))
    assert values(done) == [pytest.approx([0.2, 0.4, 0.6])]
    assert done[0].faces[1].crop.image[0, 0, 0] == np.float32(0.2)


def test_sizes_are_not_mixed_in_a_batch():
    doubler = Doubler()
    faces = [face(0.1, 8), face(0.2, 16), face(0.3, 8), face(0.4, 32), face(0.5, 16)]
    done = stage(doubler, batch=4).push(item(0, *faces))
    assert values(done) == [pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])]
    assert sorted(doubler.shapes) == [(1, 3, 32, 32), (2, 3, 8, 8), (2, 3, 16, 16)]
    assert [f.consistent.size for f in done[0].faces] == [8, 16, 8, 32, 16]


def test_no_batch_is_larger_than_asked():
    doubler = Doubler()
    faces = [face(i / 20) for i in range(10)]
    done = stage(doubler, batch=4).push(item(0, *faces))
    assert values(done) == [pytest.approx([i / 10 for i in range(10)])]
    assert [shape[0] for shape in doubler.shapes] == [4, 4, 2]


def test_frames_without_crops_pass_at_once_and_run_nothing():
    doubler = Doubler()
    batches = stage(doubler, batch=4, lookahead=3)
    skipped = make_face(skipped="too small")
    for number in range(5):
        (done,) = batches.push(item(number, skipped))
        assert done.frame.pts == number
        assert done.faces == (skipped,)
    assert doubler.shapes == []


def test_frames_without_crops_wait_behind_those_with():
    batches = stage(Doubler(), batch=4, lookahead=3)
    assert batches.push(item(0, face(0.1))) == []
    assert batches.push(item(1)) == []
    assert batches.push(item(2)) == []
    done = batches.push(item(3))
    assert [i.frame.pts for i in done] == [0, 1, 2, 3]
    assert values(done) == [pytest.approx([0.2]), [], [], []]


def test_a_full_batch_is_run_at_once():
    batches = stage(doubler := Doubler(), batch=3, lookahead=100)
    assert batches.push(item(0, face(0.1))) == []
    done = batches.push(item(1, face(0.2), face(0.3)))
    assert [i.frame.pts for i in done] == [0, 1]
    assert doubler.shapes == [(3, 3, 8, 8)]


@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_no_more_frames_wait_than_declared(lookahead):
    batches = stage(Doubler(), batch=1000, lookahead=lookahead)
    assert batches.lookahead == lookahead
    given = taken = 0
    for number in range(20):
        given += 1
        taken += len(batches.push(item(number, face(0.1))))
        assert given - taken <= lookahead
    assert taken + len(batches.flush()) == given


def test_flush_returns_the_rest_and_empties():
    batches = stage(Doubler(), batch=10, lookahead=10)
    batches.push(item(0, face(0.1)))
    batches.push(item(1, face(0.2)))
    assert values(batches.flush()) == [pytest.approx([0.2]), pytest.approx([0.4])]
    assert batches.flush() == []


def test_reset_forgets():
    batches = stage(Doubler(), batch=10, lookahead=10)
    batches.push(item(0, face(0.1)))
    batches.reset()
    assert batches.flush() == []


def test_a_cut_keeps_its_mark():
    batches = stage(Doubler(), batch=10, lookahead=1)
    batches.push(replace(item(0, face(0.1)), cut=True))
    assert [i.cut for i in batches.push(item(1, face(0.1)))] == [True, False]


def random_items(rng):
    return [
        item(
            number,
            *(
                replace(
                    make_face(),
                    track=index,
                    crop=Crop(rng.random((3, size, size), np.float32), np.eye(2, 3)),
                )
                for index, size in enumerate(rng.choice([8, 16], rng.integers(0, 4)))
            ),
        )
        for number in range(12)
    ]


def test_batches_give_what_one_by_one_gives(rng):
    torch.manual_seed(3)
    network = Consistifier((4, 6, 8), 1)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    predict = Predictor(network, CPU)
    items = random_items(rng)
    alone = stage(predict)
    together = stage(predict, batch=5, lookahead=4)
    expected = [done for i in items for done in alone.push(i)]
    found = [done for i in items for done in together.push(i)] + together.flush()
    assert [i.frame.pts for i in found] == [i.frame.pts for i in expected] == list(range(12))
    for a, b in zip(found, expected, strict=True):
        for x, y in zip(a.faces, b.faces, strict=True):
            assert x.track == y.track
            assert np.abs(x.consistent.image - y.consistent.image).max() < 1e-5


def test_a_failing_network_is_not_hidden():
    def fail(_images):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        stage(fail).push(item(0, face(0.1)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_predictor_takes_and_gives_float32(dtype, rng):
    images = rng.random((2, 3, 8, 8), np.float32)
    network = Consistifier((4, 6, 8), 1)
    output = Predictor(network, replace(CPU, dtype=dtype))(images)
    assert output.dtype == np.float32
    assert output.flags.c_contiguous
    assert np.array_equal(output, images)  # a fresh consistifier is the identity


def test_a_predictor_leaves_its_input_alone(rng):
    images = rng.random((2, 3, 8, 8), np.float32)
    before = images.copy()
    output = Predictor(Identity(), CPU)(images)
    assert np.array_equal(output, before)
    assert np.array_equal(images, before)
    assert Predictor(Bicubic(), CPU)(images).shape == (2, 3, 32, 32)


def test_a_predictor_switches_to_evaluation():
    network = Consistifier((4, 6, 8), 1).train()
    Predictor(network, CPU)
    assert not network.training
