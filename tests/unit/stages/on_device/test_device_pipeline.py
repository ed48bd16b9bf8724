"""Whole pipelines with pictures on a device: here torch's processor device."""

import cv2
import numpy as np
import pytest
import torch

from crsr_video import pipeline
from crsr_video.config import Config
from crsr_video.imaging import masks
from crsr_video.io import reader as readers
from crsr_video.pipeline import Pipeline, build, load_networks
from crsr_video.stages.align import Aligner
from crsr_video.stages.effort import Effort
from crsr_video.stages.on_device.batches import DeviceStage
from crsr_video.stages.on_device.paste import DevicePaster
from crsr_video.types import Frame, TrackedFrame
from tests.support.frames import make_face, make_frame, same_planes
from tests.support.paths import ROOT

CLIP = ROOT / "clips" / "portrait.mp4"
OPENCV_5 = int(cv2.__version__.split(".")[0]) >= 5
PLAIN = Config.from_options(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def networks():
    return load_networks(PLAIN)


@pytest.fixture(scope="module")
def frames():
    found = []
    with readers.Reader(CLIP) as source:
        for frame in source:
            if isinstance(frame, Frame):
                found.append(frame)
            if len(found) == 6:
                return found
    raise AssertionError("too short")


class Given:
    """Finds two faces in every frame."""

    lookahead = 0

    def push(self, frame):
        return [TrackedFrame(frame, (make_face(40, 40, 50), make_face(90, 50, 60, 20, track=1)))]

    def flush(self):
        return []

    def reset(self):
        pass


def enhanced(pipe, frames):
    return [done for frame in frames for done in pipe.push(frame)] + pipe.flush()


def test_a_clip_comes_out_as_from_the_processor(frames, networks):
    ours, theirs = (
        build(PLAIN, networks=networks, on_device=on_device) for on_device in (True, False)
    )
    pairs = zip(enhanced(ours, frames), enhanced(theirs, frames), strict=True)
    for frame, (one, other) in zip(frames, pairs, strict=True):
        assert one.pts == frame.pts
        assert not same_planes(one, frame)
        outside = ~masks.touched(one)
        assert outside.mean() > 0.9
        assert np.array_equal(one.components[0][outside], frame.components[0][outside])
        for a, b in zip(one.components, other.components, strict=True):
            difference = np.abs(a.astype(int) - b)
            # OpenCV 4 rounds places to 1/32 of a pixel; apart from that only rounding differs.
            assert difference.max() <= (1 if OPENCV_5 else 3)
            assert difference.mean() < (1e-4 if OPENCV_5 else 0.01)
    assert ours.statistics.enhanced == theirs.statistics.enhanced == 6
    assert list(ours.statistics.stage_seconds) == list(theirs.statistics.stage_seconds)


def test_fewer_frames_are_held_back_than_on_the_processor(networks):
    ours, theirs = (build(PLAIN, networks=networks, on_device=on) for on in (True, False))
    assert ours.lookahead < theirs.lookahead
    assert build(PLAIN, networks=networks, on_device=True, live=True).lookahead == 0


@pytest.mark.parametrize("kind", ["cpu", "mps", "cuda"])
def test_pictures_are_where_the_networks_are_if_that_is_cuda(kind, monkeypatch):
    made = []
    monkeypatch.setattr(
        "crsr_video.stages.on_device.steps.DeviceSteps", lambda device: made.append(device.type)
    )
    placement = pipeline.devices.Placement(torch.device(kind), torch.float32, "for the test")
    pipeline._steps(placement, None)
    assert made == (["cuda"] if kind == "cuda" else [])


@pytest.mark.parametrize("options", [{}, {"backoff": False}, {"scale": 2}])
def test_live_frames_come_back_at_once(options, networks, rng):
    config = Config.from_options(device="cpu", precision="fp32", **options)
    clip = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(3)]
    made = [
        build(
            config,
            live=True,
            tracker=Given(),
            effort=Effort(),
            networks=networks,
            on_device=on_device,
        )
        for on_device in (True, False)
    ]
    for frame in clip:
        (one,), (other,) = (pipe.push(frame) for pipe in made)
        assert one.changed
        for a, b in zip(one.components, other.components, strict=True):
            assert (np.abs(a.astype(int) - b) > 1).mean() < 0.01


def test_all_faces_of_a_live_frame_go_through_the_networks_at_once(networks, rng, monkeypatch):
    pipe = build(PLAIN, tracker=Given(), networks=networks, live=True, on_device=True)
    sizes = []
    run = DeviceStage._run_part
    monkeypatch.setattr(
        DeviceStage,
        "_run_part",
        lambda stage, faces, indices: (sizes.append(len(indices)), run(stage, faces, indices))[1],
    )
    pipe.push(make_frame("yuv420p", 90, 130, rng))
    assert sizes == [2, 2]


def test_an_observer_sees_every_frame_with_what_became_of_it(networks, rng):
    pipe = build(PLAIN, tracker=Given(), networks=networks, on_device=True)
    shown = []
    pipe.observer = lambda item, done: shown.append((item, done))
    clip = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(5)]
    done = enhanced(pipe, clip)
    assert [item.frame.pts for item, _ in shown] == [0, 1, 2, 3, 4]
    assert all(frame is after for frame, (_, after) in zip(done, shown, strict=True))
    face = shown[2][0].faces[0]
    assert face.enhanced.image.shape == (3, face.enhanced.size, face.enhanced.size)


def test_frames_pass_through_where_a_stage_fails_on_several(networks, rng, monkeypatch):
    config = Config.from_options(device="cpu", precision="fp32", on_error="passthrough")
    pipe = build(config, tracker=Given(), networks=networks, on_device=True)
    calls = []

    def once(*given):
        calls.append(given)
        if len(calls) == 1:
            raise ValueError("broken")
        return changed(*given)

    changed = pipeline_paste()._paste
    monkeypatch.setattr(pipeline_paste(), "_paste", once)
    clip = [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(9)]
    done = enhanced(pipe, clip)
    assert [frame.pts for frame in done] == list(range(9))
    failed = pipe.statistics.passed_through
    assert failed >= 1
    assert [same_planes(a, b) for a, b in zip(done, clip, strict=True)].count(True) == failed


def pipeline_paste():
    from crsr_video.stages.on_device import paste

    return paste


def test_frames_that_come_together_stay_together(networks, rng):
    """From consistify on, so that a device gets whole batches."""
    sizes = []
    pipe = build(PLAIN, tracker=Given(), networks=networks, on_device=True)
    for stage in pipe._stages:
        if isinstance(stage.stage, DevicePaster):
            stage._push_all = noted(stage._push_all, sizes)
    enhanced(pipe, [make_frame("yuv420p", 90, 130, rng, pts=n) for n in range(8)])
    assert max(sizes) >= 2


def noted(push_all, sizes):
    return lambda items: (sizes.append(len(items)), push_all(items))[1]


def test_stages_that_take_one_frame_at_a_time_get_one():
    class One(Aligner):
        pushed: list = []  # noqa: RUF012 - of this test only

        def push(self, item):
            self.pushed.append(item)
            return super().push(item)

    class Burst(Given):
        def push(self, frame):
            return super().push(frame) * 3

    one = One()
    pipe = Pipeline([("track", Burst()), ("align", one), ("paste", DeviceLess())])
    assert len(pipe.push(make_frame("gray", 40, 40, np.random.default_rng(1)))) == 3
    assert len(one.pushed) == 3


class DeviceLess:
    lookahead = 0

    def push(self, item):
        return [item.frame]

    def flush(self):
        return []

    def reset(self):
        pass


def test_networks_are_warmed_up_on_the_device(networks, monkeypatch):
    pipe = build(PLAIN, tracker=Given(), networks=networks, on_device=True)
    shapes = []
    for stage in pipe._stages:
        if isinstance(stage.stage, DeviceStage):
            monkeypatch.setattr(
                stage.stage, "_tensors", lambda x: (shapes.append(tuple(x.shape)), x)[1]
            )
    pipe.warm()
    assert (1, 3, 32, 32) in shapes
    assert len(shapes) == 6
