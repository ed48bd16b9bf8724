"""Each stage on the device beside the one on the processor, on torch's processor device."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from crsr_video.imaging import masks
from crsr_video.imaging.likeness import compare
from crsr_video.imaging.upscaling import enlarge
from crsr_video.networks import Bicubic, Identity
from crsr_video.runtime.batches import Predictor
from crsr_video.runtime.devices import Placement
from crsr_video.stages.effort import Effort
from crsr_video.stages.on_device.backoff import comparisons
from crsr_video.stages.on_device.batches import without_tint
from crsr_video.stages.on_device.copies import PlainCopies
from crsr_video.stages.on_device.crops import DeviceCrop, picture
from crsr_video.stages.on_device.steps import DeviceSteps
from crsr_video.stages.steps import Steps
from crsr_video.stages.superres import without_tint as without_tint_in_numpy
from crsr_video.types import Crop
from tests.support.frames import (
    ALL,
    crop_of,
    flat_frame,
    make_face,
    make_frame,
    same_planes,
    tracked,
)

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")
WAYS = PlainCopies(CPU.device)
OPENCV_5 = int(cv2.__version__.split(".")[0]) >= 5

CLOSE = 2e-5 if OPENCV_5 else 0.01
"""Of pictures, 1 being white: sums in another order, and see the tolerance of warping."""
FEW = 0.001 if OPENCV_5 else 0.3
"""Share of codes that may be rounded to a neighbour, for that reason."""


class Wild(torch.nn.Module):
    """Four times as large, and far from what it was; the same every time."""

    def forward(self, x):
        large = Bicubic()(x)
        ramp = torch.linspace(0, 40, large.shape[-1])
        return large + 0.2 * torch.sin(ramp * ramp[:, None] / 7)


def run(steps, items, network=None, **options):
    """Through all stages, as a pipeline takes them; frames, and what was pasted."""
    stages = [
        steps.align(),
        steps.consistify(Predictor(options.get("consistifier") or Louder(), CPU), 8, 7),
        steps.super_resolve(Predictor(network or Wild(), CPU), 8, 7),
        steps.smooth(causal=False),
        steps.back_off(),
    ]
    for stage in stages:
        items = [done for item in items for done in stage.push(item)] + stage.flush()
    detail = options.pop("detail", None)
    if detail is not None:
        items = [
            replace(item, faces=tuple(replace(f, detail=detail) for f in item.faces))
            for item in items
        ]
    paste = steps.paste(options.get("strength", 1.0), options.get("scale", 1), "lanczos")
    together = getattr(paste, "push_all", None)
    return (together(items) if together else [d for i in items for d in paste.push(i)]), items


class Louder(torch.nn.Module):
    """Beyond black and white."""

    def forward(self, x):
        return 1.3 * x - 0.15


DEVICE = DeviceSteps(CPU.device)


def three_faces(height, width, shift=0.0):
    """Small and large, turned, and over the edge; the last two overlap."""
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
    """Codes differ where rounding happens to fall on the other side."""
    most = 2 ** max(0, bits - 12) if OPENCV_5 else 8 * 2 ** (bits - 8)
    for difference in differences(ones, others):
        assert difference.max() <= most
        assert (difference > most / 4).mean() <= FEW


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("detail", [0.0, 0.7])
def test_frames_come_out_as_from_the_processor(name, detail, rng):
    items = clip(name, 101, 141, rng)
    ours, kept = run(DEVICE, items, detail=detail)
    theirs, expected = run(Steps(), items, detail=detail)
    assert_alike(ours, theirs, items[0].frame.layout.bits)
    assert [f.changed for f in ours] != [()] * 3
    for one, other in zip(ours, theirs, strict=True):
        assert [p.box for p in one.changed] == [p.box for p in other.changed]
        assert not same_planes(one, items[0].frame)
    for one, other in zip(kept, expected, strict=True):
        for a, b in zip(one.faces, other.faces, strict=True):
            assert isinstance(a.crop, DeviceCrop)
            assert np.abs(a.crop.image - b.crop.image).max() < CLOSE
            assert np.abs(a.enhanced.image - b.enhanced.image).max() < 3 * CLOSE
            assert a.strength == pytest.approx(b.strength, abs=1e-3 if OPENCV_5 else 0.05)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p12", "gray"])
@pytest.mark.parametrize("scale", [2, 4])
def test_enlarged_frames_come_out_as_from_the_processor(name, scale, rng):
    items = clip(name, 61, 81, rng, 2)
    ours, theirs = (
        run(s, items, detail=0.5, scale=scale, strength=0.6)[0] for s in (DEVICE, Steps())
    )
    assert ours[0].height == scale * 61
    assert_alike(ours, theirs, items[0].frame.layout.bits)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10", "rgb24", "yuv444p16"])
@pytest.mark.parametrize("scale", [1, 2])
def test_an_identity_network_changes_no_bit(name, scale, rng):
    items = clip(
        name, 81, 101, rng, 1
    )  # One: other frames of noise agree by chance here and there.
    done, kept = run(DEVICE, items, Bicubic(), consistifier=Identity(), detail=0.0, scale=scale)
    assert all(face.enhanced is not None for item in kept for face in item.faces)
    for frame, item in zip(done, items, strict=True):
        assert same_planes(frame, enlarge(item.frame, scale))


@pytest.mark.parametrize("name", ALL)
def test_nothing_outside_the_masks_is_touched(name, rng):
    items = clip(name, 101, 141, rng, 2)
    done, _ = run(DEVICE, items, detail=1.0)
    for frame, item in zip(done, items, strict=True):
        touched = masks.touched(frame)
        assert 0.1 < touched.mean() < 0.7
        for old, new in zip(item.frame.components, frame.components, strict=True):
            changed = (old != new).astype(np.uint8)
            whole = changed.repeat(-(-101 // len(changed)), 0)[:101]
            whole = whole.repeat(-(-141 // whole.shape[1]), 1)[:, :141] > 0
            assert not (whole & ~touched).any()
            assert changed.any()


def test_a_still_picture_gives_the_same_frame_every_time(rng):
    frame = make_frame("yuv420p10", 90, 120, rng)
    items = [tracked(replace(frame, pts=n), *three_faces(90, 120)) for n in range(5)]
    first, *others = run(DEVICE, items)[0]
    assert all(same_planes(first, other) for other in others)


def test_frames_are_the_same_one_by_one_and_together(rng):
    items = clip("yuv420p", 101, 141, rng, 2)
    _, kept = run(DEVICE, items)
    paste = DEVICE.paste(1.0, 1, "lanczos")
    together = paste.push_all(kept)
    assert_alike(together, [done for item in kept for done in paste.push(item)], 8)


def test_the_source_s_planes_are_left_alone(rng):
    items = clip("yuv420p", 80, 100, rng, 1)
    before = [plane.copy() for plane in items[0].frame.components]
    run(DEVICE, items)
    assert all(map(np.array_equal, before, items[0].frame.components))


def test_turned_fields_of_wide_pixels_are_seen_as_by_the_processor(rng):
    frame = make_frame("yuv420p", 120, 100, rng, rotation=90)
    field = replace(
        frame,
        components=tuple(plane[1::2] for plane in frame.components),
        sample_aspect=frame.sample_aspect / 2,
    )
    faces = (make_face(50, 30, 60, 85), make_face(90, 5, 50, -20, track=1))
    ours, theirs = (run(s, [tracked(field, *faces)])[0] for s in (DEVICE, Steps()))
    assert_alike(ours, theirs, 8)


def test_faces_beyond_the_frame_and_broken_ones_are_no_harm(rng):
    frame = make_frame("yuv420p", 60, 80, rng)
    point = replace(make_face(), landmarks=np.zeros((5, 2)), track=3)
    far = make_face(900, -700, 40, track=4)
    ours, kept = run(DEVICE, [tracked(frame, make_face(1, 1, 40), point, far)])
    theirs, expected = run(Steps(), [tracked(frame, make_face(1, 1, 40), point, far)])
    assert_alike(ours, theirs, 8)
    told = [[face.skipped for face in item.faces] for item in (kept[0], expected[0])]
    assert told[0] == told[1]
    assert told[0][1] == "landmarks do not form a face"


@pytest.mark.parametrize("size", [8, 32, 64])
def test_tint_is_taken_out_as_on_the_processor(size, rng):
    seen = rng.random((3, 3, size, size), np.float32)
    large = rng.random((3, 3, 4 * size, 4 * size), np.float32)
    done = without_tint(torch.from_numpy(large), torch.from_numpy(seen)).numpy()
    for one, crop, picture_before in zip(done, seen, large, strict=True):
        assert np.abs(one - without_tint_in_numpy(picture_before, crop)).max() < 1e-5


@pytest.mark.parametrize("size", [32, 64, 128])
def test_faces_are_compared_as_on_the_processor(size, rng):
    faces = []
    for number in range(3):
        seen = cv2.GaussianBlur(rng.random((size, size, 3), np.float32), (0, 0), 1.5 + number)
        seen[::7, ::5] += 0.3  # Detail, on few pixels.
        large = cv2.resize(seen, (4 * size, 4 * size), interpolation=cv2.INTER_CUBIC)
        large = large + 0.1 * number * rng.random(large.shape, np.float32)
        small, large = (np.ascontiguousarray(p.transpose(2, 0, 1)) for p in (seen, large))
        crop, enhanced = Crop(small, np.eye(2, 3)), Crop(large, np.eye(2, 3))
        faces.append(replace(make_face(track=number), crop=crop, enhanced=enhanced))
    faces += [make_face(track=9), replace(faces[0], skipped="for the test")]
    found = comparisons(faces, WAYS)
    assert len(found) == 3
    for face in faces[:3]:
        ours, theirs = found[id(face)], compare(face)
        assert ours.likeness == pytest.approx(theirs.likeness, abs=1e-4)
        assert ours.kept == pytest.approx(theirs.kept, rel=1e-3)
        assert theirs.seen_detail > 0
        assert ours.seen_detail == pytest.approx(theirs.seen_detail, rel=1e-3)


@pytest.mark.parametrize("smaller", [False, True])
def test_what_was_added_is_carried_on_as_by_the_processor(smaller, rng):
    """In live enhancement, where half the frames wait; their crops may be smaller."""
    items = clip("yuv420p", 90, 120, rng, 1)
    made = []
    for steps in (DEVICE, Steps()):
        _, (item,) = run(steps, items)
        carry = steps.carry(Effort())
        carry.push(item)
        moved = [replace(f, largest_crop=32 if smaller else None) for f in items[0].faces]
        (later,) = steps.align().push(tracked(items[0].frame, *moved))
        (done,) = carry.push(
            replace(later, faces=tuple(replace(f, fresh=False) for f in later.faces))
        )
        made.append(done)
        assert steps.paste(1.0, 1, "lanczos").push(done)[0].changed
    for ours, expected in zip(*(item.faces for item in made), strict=True):
        assert isinstance(ours.enhanced, DeviceCrop)
        assert np.abs(ours.enhanced.image - expected.enhanced.image).max() < 3 * CLOSE
        assert np.array_equal(ours.enhanced.crop_from_frame, expected.enhanced.crop_from_frame)


class Small:
    """A predictor on a device with memory for two crops."""

    def __init__(self, most=2):
        self.most, self.sizes = most, []

    def tensors(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return x + 0.1


def test_a_batch_that_does_not_fit_is_halved(rng):
    items = DEVICE.align().push(clip("yuv420p", 90, 120, rng, 1)[0])
    items += DEVICE.align().push(clip("yuv420p", 90, 120, rng, 1)[0])
    small = Small()
    stage = DEVICE.consistify(small, 64, 5)
    assert [done for item in items for done in stage.push(item)] == []
    faces = [face for item in stage.flush() for face in item.faces]
    assert max(small.sizes) > 2
    for face in faces:
        expected = (face.crop.picture + 0.1).clamp(0, 1)
        assert torch.equal(face.consistent.picture, expected)
    stage = DEVICE.consistify(Small(most=0), 64, 0)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        stage.push(items[0])


def test_large_crops_go_in_smaller_batches():
    frame = flat_frame("gray", 8, 8, (0.5, 0.5, 0.5))
    face = replace(make_face(), crop=crop_of(0.5, 128))
    small = Small(most=100)
    stage = DEVICE.consistify(small, 64, 5)
    stage.push(tracked(frame, *[face] * 20))
    stage.flush()
    assert small.sizes == [16, 4]


def test_a_crop_in_numpy_goes_up_and_one_on_the_device_comes_down():
    assert picture(crop_of(0.25), WAYS).shape == (3, 8, 8)
    there = DeviceCrop(np.eye(2, 3), 8, torch.full((3, 8, 8), 0.5))
    assert isinstance(there, Crop)
    assert there.size == 8
    assert there.image.dtype == np.float32
    assert there.image is there.image
    assert float(there.image.mean()) == 0.5


def test_a_crop_is_made_with_the_others_and_only_if_somebody_has_it(monkeypatch):
    align = DEVICE.align()
    frame = flat_frame("yuv420p", 60, 80, (0.5, 0.4, 0.3))
    made = []
    fill = DeviceCrop.fill
    monkeypatch.setattr(DeviceCrop, "fill", lambda crop, p: (made.append(p), fill(crop, p)))
    kept = [align.push(tracked(frame, make_face(40, 30, 40)))[0] for _ in range(3)]
    align.push(tracked(frame, make_face(40, 30, 40)))  # nobody has it
    assert made == [None] * 4
    first = kept[0].faces[0].crop.image
    assert len(made) == 7
    assert np.allclose(first.mean((1, 2)), (0.5, 0.4, 0.3), atol=0.01)
    assert kept[2].faces[0].crop.picture is not None
    assert len(made) == 7


def test_of_a_batch_that_failed_every_crop_says_so(monkeypatch):
    steps = DeviceSteps(CPU.device)
    align = steps.align()
    frame = flat_frame("yuv420p", 60, 80, (0.5, 0.4, 0.3))
    one, other = (align.push(tracked(frame, make_face(40, 30, 40)))[0] for _ in range(2))
    monkeypatch.setattr("crsr_video.stages.on_device.align._crops", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.faces[0].crop.image  # noqa: B018 - looking at it is the test
    with pytest.raises(RuntimeError, match="failed"):
        other.faces[0].crop.image  # noqa: B018
