"""Whole pipelines with pictures in torch, here on torch's processor device."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.config import Config
from crsr_video.imaging import masks
from crsr_video.imaging.numpy_operations import NumpyOperations
from crsr_video.imaging.torch_operations import TorchOperations
from crsr_video.io.reader import Reader
from crsr_video.pipeline import build
from crsr_video.restoration import operations_for
from crsr_video.runtime.loading import Predictors, load_networks
from crsr_video.stages.base import Stage
from crsr_video.stages.quality import LiveQuality
from crsr_video.types import Frame, TrackedFrame
from tests.support.face_models import face_model
from tests.support.frames import make_face, make_frame, same_planes
from tests.support.operations import NUMPY, TORCH
from tests.support.paths import PORTRAIT

PLAIN = Config.from_options(device="cpu", precision="fp32", region="face")


@pytest.fixture(scope="module")
def networks():
    return load_networks(PLAIN)


@pytest.fixture(scope="module")
def frames():
    found = []
    with Reader(PORTRAIT) as source:
        for frame in source:
            if isinstance(frame, Frame):
                found.append(frame)
            if len(found) == 6:
                return found
    raise AssertionError("too short")


class Given(Stage):
    """Stand-in for the tracker that finds two faces in every frame."""

    def push(self, frame):
        return [TrackedFrame(frame, (make_face(40, 40, 50), make_face(90, 50, 60, 20, track=1)))]


class Spy:
    """Network that keeps the shapes of its batches."""

    def __init__(self, predict):
        self._predict, self.shapes = predict, []

    def __call__(self, pictures):
        self.shapes.append(tuple(pictures.shape))
        return self._predict(pictures)


@pytest.fixture
def watched(networks):
    """Return the networks with a spy before each."""
    both = networks.predictors()
    second = Spy(both.super_resolve)
    return replace(networks, shared=Predictors(Spy(both.consistify), second, second))


def enhanced(pipe, frames):
    return [done for frame in frames for done in pipe.push(frame)] + pipe.flush()


def test_a_clip_comes_out_as_from_the_processor(frames, networks):
    ours, theirs = (build(PLAIN, networks=networks, operations=o) for o in (TORCH, NUMPY))
    pairs = zip(enhanced(ours, frames), enhanced(theirs, frames), strict=True)
    for frame, (one, other) in zip(frames, pairs, strict=True):
        assert one.pts == frame.pts
        assert not same_planes(one, frame)
        outside = ~masks.possibly_changed(one)
        assert outside.mean() > 0.9
        assert np.array_equal(one.components[0][outside], frame.components[0][outside])
        for a, b in zip(one.components, other.components, strict=True):
            difference = np.abs(a.astype(int) - b)
            assert difference.max() <= 1
            assert difference.mean() < 1e-4
    assert ours.statistics.enhanced == theirs.statistics.enhanced == 6
    assert list(ours.statistics.stage_seconds) == list(theirs.statistics.stage_seconds)


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_pictures_are_on_the_processor_unless_the_networks_are_on_cuda(kind):
    assert isinstance(operations_for(torch.device(kind)), NumpyOperations)


@pytest.mark.parametrize("options", [{}, {"backoff": False}, {"scale": 2}])
def test_live_frames_come_back_at_once(options, networks, rng):
    config = PLAIN.with_options(**options)
    clip = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(3)]
    made = [
        build(
            config,
            live=True,
            tracker=Given(),
            quality=LiveQuality(),
            networks=networks,
            operations=operations,
        )
        for operations in (TORCH, NUMPY)
    ]
    for frame in clip:
        (one,), (other,) = (pipe.push(frame) for pipe in made)
        assert one.changed
        for a, b in zip(one.components, other.components, strict=True):
            assert (np.abs(a.astype(int) - b) > 1).mean() < 0.01


def test_all_faces_of_a_live_frame_go_through_the_networks_at_once(watched, rng):
    pipe = build(PLAIN, tracker=Given(), networks=watched, live=True, operations=TORCH)
    assert pipe.lookahead == 0
    pipe.push(make_frame("yuv420p", 90, 130, rng))
    both = watched.predictors()
    assert [s[0] for s in both.consistify.shapes + both.super_resolve.shapes] == [2, 2]


def test_an_observer_sees_every_frame_with_its_result(networks, rng):
    pipe = build(PLAIN, tracker=Given(), networks=networks, operations=TORCH)
    shown = []
    pipe.observer = lambda item, done: shown.append((item, done))
    clip = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(5)]
    done = enhanced(pipe, clip)
    assert [item.frame.pts for item, _ in shown] == [0, 1, 2, 3, 4]
    assert all(frame is after for frame, (_, after) in zip(done, shown, strict=True))
    face = shown[2][0].faces[0]
    assert face.enhanced.image.shape == (3, face.enhanced.size, face.enhanced.size)


class FailingOnce(TorchOperations):
    """Operations that fail the first time that planes are written."""

    failed = False

    def add_to_planes(self, *arguments):
        if not self.failed:
            self.failed = True
            raise ValueError("broken")
        return super().add_to_planes(*arguments)


def test_only_frames_that_failed_pass_through_of_several_that_come_together(networks, rng):
    config = Config.from_options(device="cpu", precision="fp32", on_error="passthrough")
    failing = FailingOnce(torch.device("cpu"))
    pipe = build(config, tracker=Given(), networks=networks, operations=failing)
    clip = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(9)]
    done = enhanced(pipe, clip)
    assert [frame.pts for frame in done] == list(range(9))
    assert failing.failed
    failed = pipe.statistics.passed_through
    assert [same_planes(a, b) for a, b in zip(done, clip, strict=True)].count(True) == failed <= 1


@pytest.mark.parametrize("operations", [TORCH, NUMPY], ids=["torch", "numpy"])
def test_frames_that_wait_for_a_batch_stay_together(watched, rng, operations):
    pipe = build(PLAIN, tracker=Given(), networks=watched, operations=operations)
    enhanced(pipe, [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(8)])
    both = watched.predictors()
    for spy in (both.consistify, both.super_resolve):
        assert max(shape[0] for shape in spy.shapes) == 4  # two frames of two faces


@pytest.mark.parametrize(
    ("region", "sides"), [("face", (32, 64, 96, 128)), ("head", (36, 72, 108, 144))]
)
def test_networks_are_warmed_up_for_all_crop_sizes(watched, region, sides):
    face_model("person")
    config = PLAIN.with_options(region=region)
    build(config, tracker=Given(), networks=watched, operations=TORCH).warm_up()
    sizes = [(1, 3, side, side) for side in sides]
    assert watched.predictors().consistify.shapes == sizes
    assert watched.predictors().super_resolve.shapes == sizes
