"""Every stage gives the same with torch, here on the CPU, as with NumPy and OpenCV."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from crsr_video.imaging import masks
from crsr_video.imaging.likeness import compare
from crsr_video.imaging.upscaling import enlarge
from crsr_video.networks import Bicubic, IdentityConsistifier
from crsr_video.stages.align import Aligner
from crsr_video.stages.backoff import BackOff
from crsr_video.stages.carry import Carrier
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.paste import Paster
from crsr_video.stages.quality import LiveQuality
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage, without_tint
from tests.support.frames import ALL, make_face, make_frame, same_planes, tracked
from tests.support.operations import (
    NUMPY,
    NUMPY_FIXED_FLOW,
    TORCH,
    TORCH_FIXED_FLOW,
    array,
    predictor,
)

CLOSE = 2e-5
"""Tolerance of pictures, 1 being white: sums are added up in another order."""
FEW = {8: 3e-4, 10: 5e-4, 12: 1.5e-3, 16: 1e-3}
"""Share of codes that may be rounded to a neighbour, for that reason, by bit depth: the finer the
codes, the more of them lie where float32 rounds differently. 16-bit codes may differ by 16."""


class Wild(torch.nn.Module):
    """Network that enlarges pictures four times, and adds the same strong noise every time."""

    def forward(self, x):
        large = Bicubic()(x)
        ramp = torch.linspace(0, 40, large.shape[-1])
        return large + 0.2 * torch.sin(ramp * ramp[:, None] / 7)


def run(operations, items, network=None, *, detail=None, consistifier=None, **options):
    """Push frames through all stages, and return the results and the pasted changes."""
    stages = [
        Aligner(operations, batch=8, lookahead=7),
        ConsistifyStage(predictor(consistifier or Louder()), operations, batch=8),
        SuperResolveStage(predictor(network or Wild()), operations, batch=8),
        Smoother(operations),
        BackOff(operations),
    ]
    for stage in stages:
        items = stage.push_all(items) + stage.flush()
    if detail is not None:
        items = [
            replace(item, faces=tuple(replace(f, detail=detail) for f in item.faces))
            for item in items
        ]
    return Paster(operations, **options).push_all(items), items


class Louder(torch.nn.Module):
    """Network whose results go beyond black and white."""

    def forward(self, x):
        return 1.3 * x - 0.15


def three_faces(height, width, shift=0.0):
    """Return a small, a large, and a rotated face over the edge. The last two overlap."""
    return (
        make_face(width * 0.3 + shift, height * 0.4, 36, 17, track=0),
        make_face(width * 0.66, height * 0.5 + shift, 70, -40, track=1),
        make_face(width - 12, height - 18, 60, 95, track=2),
    )


def clip(name, height, width, rng, count=3):
    frames = [make_frame(name, height, width, rng, pts=number) for number in range(count)]
    return [
        tracked(frame, *three_faces(height, width, 1.3 * number))
        for number, frame in enumerate(frames)
    ]


def differences(ones, others):
    return [
        np.abs(a.astype(int) - b)
        for one, other in zip(ones, others, strict=True)
        for a, b in zip(one.components, other.components, strict=True)
    ]


def assert_alike(ones, others, bits):
    """Assert that frames differ by rounding only."""
    most = 2 ** max(0, bits - 12)
    for difference in differences(ones, others):
        assert difference.max() <= most
        assert (difference > most / 4).mean() <= FEW[bits]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("detail", [0.0, 0.7])
def test_frames_come_out_as_from_the_processor(name, detail, rng):
    items = clip(name, 101, 141, rng)
    ours, kept = run(TORCH_FIXED_FLOW, items, detail=detail)
    theirs, expected = run(NUMPY_FIXED_FLOW, items, detail=detail)
    assert_alike(ours, theirs, items[0].frame.layout.bits)
    assert [f.changed for f in ours] != [()] * 3
    for one, other in zip(ours, theirs, strict=True):
        assert [p.box for p in one.changed] == [p.box for p in other.changed]
        assert not same_planes(one, items[0].frame)
    for one, other in zip(kept, expected, strict=True):
        for a, b in zip(one.faces, other.faces, strict=True):
            assert isinstance(a.crop.image, torch.Tensor)
            assert np.abs(array(a.crop.image) - b.crop.image).max() < CLOSE
            assert np.abs(array(a.enhanced.image) - b.enhanced.image).max() < 3 * CLOSE
            assert a.strength == pytest.approx(b.strength, abs=1e-3)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p12", "gray"])
@pytest.mark.parametrize("scale", [2, 4])
def test_enlarged_frames_come_out_as_from_the_processor(name, scale, rng):
    items = clip(name, 61, 81, rng, 2)
    both = TORCH_FIXED_FLOW, NUMPY_FIXED_FLOW
    ours, theirs = (run(o, items, detail=0.5, scale=scale, strength=0.6)[0] for o in both)
    assert ours[0].height == scale * 61
    assert_alike(ours, theirs, items[0].frame.layout.bits)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10", "rgb24", "yuv444p16"])
@pytest.mark.parametrize("scale", [1, 2])
def test_an_identity_network_changes_no_bit(name, scale, rng):
    items = clip(
        name, 81, 101, rng, 1
    )  # One: other frames of noise agree by chance here and there.
    done, kept = run(
        TORCH, items, Bicubic(), consistifier=IdentityConsistifier(), detail=0.0, scale=scale
    )
    assert all(face.enhanced is not None for item in kept for face in item.faces)
    for frame, item in zip(done, items, strict=True):
        assert same_planes(frame, enlarge(item.frame, scale))


@pytest.mark.parametrize("name", ALL)
def test_nothing_outside_the_masks_is_touched(name, rng):
    items = clip(name, 101, 141, rng, 2)
    done, _ = run(TORCH, items, detail=1.0)
    for frame, item in zip(done, items, strict=True):
        possibly_changed = masks.possibly_changed(frame)
        assert 0.1 < possibly_changed.mean() < 0.7
        for old, new in zip(item.frame.components, frame.components, strict=True):
            changed = (old != new).astype(np.uint8)
            whole = changed.repeat(-(-101 // len(changed)), 0)[:101]
            whole = whole.repeat(-(-141 // whole.shape[1]), 1)[:, :141] > 0
            assert not (whole & ~possibly_changed).any()
            assert changed.any()


def test_a_still_picture_gives_the_same_frame_every_time(rng):
    frame = make_frame("yuv420p10", 90, 120, rng)
    items = [tracked(replace(frame, pts=n), *three_faces(90, 120)) for n in range(5)]
    first, *others = run(TORCH, items)[0]
    assert all(same_planes(first, other) for other in others)


def test_frames_are_the_same_one_by_one_and_together(rng):
    items = clip("yuv420p", 101, 141, rng, 2)
    _, kept = run(TORCH, items)
    paste = Paster(TORCH)
    together = paste.push_all(kept)
    assert_alike(together, [done for item in kept for done in paste.push(item)], 8)


def test_the_source_s_planes_are_left_alone(rng):
    items = clip("yuv420p", 80, 100, rng, 1)
    before = [plane.copy() for plane in items[0].frame.components]
    run(TORCH, items)
    assert all(map(np.array_equal, before, items[0].frame.components))


def test_turned_fields_of_wide_pixels_are_seen_as_by_the_processor(rng):
    frame = make_frame("yuv420p", 120, 100, rng, rotation=90)
    field = replace(
        frame,
        components=tuple(plane[1::2] for plane in frame.components),
        sample_aspect=frame.sample_aspect / 2,
    )
    faces = (make_face(50, 30, 60, 85), make_face(90, 5, 50, -20, track=1))
    ours, theirs = (run(o, [tracked(field, *faces)])[0] for o in (TORCH, NUMPY))
    assert_alike(ours, theirs, 8)


def test_faces_beyond_the_frame_and_broken_ones_are_no_harm(rng):
    frame = make_frame("yuv420p", 60, 80, rng)
    point = replace(make_face(), landmarks=np.zeros((5, 2)), track=3)
    far = make_face(900, -700, 40, track=4)
    ours, kept = run(TORCH, [tracked(frame, make_face(1, 1, 40), point, far)])
    theirs, expected = run(NUMPY, [tracked(frame, make_face(1, 1, 40), point, far)])
    assert_alike(ours, theirs, 8)
    told = [[face.skipped for face in item.faces] for item in (kept[0], expected[0])]
    assert told[0] == told[1]
    assert told[0][1] == "landmarks do not form a face"


@pytest.mark.parametrize("size", [8, 32, 64])
def test_tint_is_taken_out_as_on_the_processor(size, rng):
    seen = rng.random((3, 3, size, size), np.float32)
    large = rng.random((3, 3, 4 * size, 4 * size), np.float32)
    done = without_tint(torch.from_numpy(large), torch.from_numpy(seen), TORCH).numpy()
    assert np.abs(done - without_tint(large, seen, NUMPY)).max() < 1e-5


@pytest.mark.parametrize("size", [32, 64, 128])
def test_faces_are_compared_as_on_the_processor(size, rng):
    crops, enhanced = [], []
    for number in range(3):
        seen = cv2.GaussianBlur(rng.random((size, size, 3), np.float32), (0, 0), 1.5 + number)
        seen[::7, ::5] += 0.3  # Detail, on few pixels.
        large = cv2.resize(seen, (4 * size, 4 * size), interpolation=cv2.INTER_CUBIC)
        large = large + 0.1 * number * rng.random(large.shape, np.float32)
        crops.append(np.ascontiguousarray(seen.transpose(2, 0, 1)))
        enhanced.append(np.ascontiguousarray(large.transpose(2, 0, 1)))
    found = compare(crops, enhanced, TORCH)
    for ours, theirs in zip(found, compare(crops, enhanced, NUMPY), strict=True):
        assert ours.likeness == pytest.approx(theirs.likeness, abs=1e-4)
        assert ours.kept == pytest.approx(theirs.kept, rel=1e-3)
        assert theirs.seen_detail > 0
        assert ours.seen_detail == pytest.approx(theirs.seen_detail, rel=1e-3)


@pytest.mark.parametrize("smaller", [False, True])
def test_changes_are_carried_on_as_on_the_processor(smaller, rng):
    """Half of the live frames get carried changes, and their crops may be smaller."""
    items = clip("yuv420p", 90, 120, rng, 1)
    made = []
    for operations in (TORCH, NUMPY):
        _, (item,) = run(operations, items)
        carry = Carrier(operations, LiveQuality())
        carry.push(item)
        moved = [
            replace(f, largest_crop=32 if smaller else None, fresh=False) for f in items[0].faces
        ]
        (later,) = Aligner(operations).push(tracked(items[0].frame, *moved))
        (done,) = carry.push(later)
        made.append(done)
        assert Paster(operations).push(done)[0].changed
    for ours, expected in zip(*(item.faces for item in made), strict=True):
        assert np.abs(array(ours.enhanced.image) - expected.enhanced.image).max() < 3 * CLOSE
        assert np.array_equal(ours.enhanced.crop_from_frame, expected.enhanced.crop_from_frame)
