from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from crsr_video.config import Config, EnhancerConfig
from crsr_video.errors import WeightsError
from crsr_video.imaging.upscaling import enlarge
from crsr_video.networks import Bicubic, IdentityConsistifier
from crsr_video.pipeline import Pipeline, build
from crsr_video.restoration import Restoration
from crsr_video.stages.align import Aligner
from crsr_video.stages.base import Stage
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.paste import Paster
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage
from crsr_video.track import face_models
from crsr_video.types import Frame, TrackedFrame
from tests.support.face_models import face_model
from tests.support.frames import make_face, make_frame, same_planes
from tests.support.operations import NUMPY, predicting, predictor


class FakeTracker(Stage):
    """Stand-in for the tracker that finds faces by a frame's pts, and holds back some frames."""

    def __init__(self, faces=(), lookahead=0, cuts=(0,)):
        self.lookahead = lookahead
        self.closed = False
        self._faces, self._cuts = faces, cuts
        self._held = []

    def push(self, frame):
        self._held.append(frame)
        return [self._track(self._held.pop(0))] if len(self._held) > self.lookahead else []

    def flush(self):
        done, self._held = [self._track(frame) for frame in self._held], []
        return done

    def reset(self):
        self._held = []

    def close(self):
        self.closed = True

    def _track(self, frame):
        faces = self._faces(frame.pts) if callable(self._faces) else self._faces
        return TrackedFrame(frame, tuple(faces), frame.pts in self._cuts)


class Failing(Stage):
    """Stage that fails at some frames, unless these have no faces."""

    def __init__(self, stage, at, error=None):
        self.stage, self._at = stage, set(at)
        self._error = error or RuntimeError("broken")
        self.lookahead = stage.lookahead

    def push(self, item):
        if isinstance(item, Frame):
            fails = item.pts in self._at
        else:
            fails = item.frame.pts in self._at and item.faces
        if fails:
            raise self._error
        return self.stage.push(item)

    def flush(self):
        if "flush" in self._at:
            self._at.discard("flush")
            raise self._error
        return self.stage.flush()

    def reset(self):
        self.stage.reset()


STAGES = ("track", "align", "consistify", "super-resolve", "smooth", "paste")


def stages(
    faces=(), *, track=0, batch=1, wait=0, radius=2, scale=1, cuts=(0,), super_resolver=None
):
    return {
        "track": FakeTracker(faces, track, cuts),
        "align": Aligner(NUMPY, batch=batch, lookahead=wait),
        "consistify": ConsistifyStage(predictor(IdentityConsistifier()), NUMPY, batch=batch),
        "super-resolve": SuperResolveStage(
            super_resolver or predictor(Bicubic()), NUMPY, batch=batch
        ),
        "smooth": Smoother(NUMPY, radius),
        "paste": Paster(NUMPY, scale=scale),
    }


def pipeline(parts, **options):
    return Pipeline(parts.items(), **options)


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(9)
    return [make_frame("yuv420p", 60, 80, rng, pts=number) for number in range(14)]


FACE = make_face(40, 30, 32)


def everything(pipe, frames):
    return [done for frame in frames for done in pipe.push(frame)] + pipe.flush()


def times(frames):
    return [frame.pts for frame in frames]


@pytest.mark.parametrize(
    "options",
    [
        {"radius": 0},
        {},
        {"track": 5},
        {"track": 8, "batch": 4, "wait": 3},
        {"track": 1, "batch": 100, "wait": 7, "radius": 4},
        {"track": 100},
    ],
    ids=str,
)
@pytest.mark.parametrize("faces", [(), (FACE,)], ids=["empty", "face"])
def test_frames_come_out_complete_and_in_order(clip, faces, options):
    pipe = pipeline(stages(faces, **options))
    assert times(everything(pipe, clip)) == list(range(14))
    assert pipe.flush() == []


def test_faces_come_and_go_without_upsetting_the_order(clip):
    def faces(pts):
        return [make_face(40, 30, 32, track=t) for t in range(pts * 7 % 4)]

    pipe = pipeline(stages(faces, track=3, batch=5, wait=4, cuts=(0, 6)))
    assert times(everything(pipe, clip)) == list(range(14))


@pytest.mark.parametrize("options", [{"radius": 0}, {"track": 4, "batch": 4, "wait": 3}], ids=str)
def test_no_more_frames_are_inside_than_declared(clip, options):
    pipe = pipeline(stages((FACE,), **options))
    declared = options.get("track", 0) + options.get("wait", 0) + options.get("radius", 2)
    assert pipe.lookahead == declared
    inside = 0
    for frame in clip:
        inside += 1 - len(pipe.push(frame))
        assert inside <= declared


def test_an_identity_run_over_faces_of_a_crop_s_size_changes_no_bit(clip):
    done = everything(pipeline(stages((FACE,), track=2, batch=4, wait=3)), clip)
    for old, new in zip(clip, done, strict=True):
        assert same_planes(old, new)


def test_a_real_change_reaches_the_frame(clip):
    def rougher(images):
        large = np.repeat(np.repeat(images, 4, 2), 4, 3)
        return large + np.float32(0.2) * np.sin(np.arange(large.shape[-1], dtype=np.float32) / 3)

    done = everything(pipeline(stages((FACE,), super_resolver=predicting(rougher))), clip)
    for old, new in zip(clip, done, strict=True):
        assert (
            np.abs(
                new.components[0][28:36, 34:46].astype(int) - old.components[0][28:36, 34:46]
            ).max()
            > 5
        )
        assert np.array_equal(new.components[0][:5], old.components[0][:5])


def test_statistics_count_what_was_seen(clip):
    def faces(pts):
        shown = [FACE] if pts < 10 else []
        hidden = [make_face(track=5, skipped="too small")] if pts < 3 else []
        return shown + hidden

    pipe = pipeline(stages(faces, track=2, cuts=(0, 7)))
    everything(pipe, clip)
    seen = pipe.statistics
    assert (seen.frames, seen.faces, seen.enhanced) == (14, 13, 10)
    assert (seen.tracks, seen.cuts, seen.passed_through) == (2, 2, 0)
    assert seen.skipped == {"too small": 3}
    assert tuple(seen.stage_seconds) == STAGES
    assert all(seconds >= 0 for seconds in seen.stage_seconds.values())
    assert seen.stage_seconds["align"] > 0


def test_faces_in_view_are_those_of_the_last_finished_frame(clip):
    pipe = pipeline(stages(lambda pts: [FACE] * (pts % 2), radius=0))
    for frame in clip[:4]:
        pipe.push(frame)
        assert pipe.faces_in_view == frame.pts % 2


def test_statistics_of_an_unused_pipeline_are_zero():
    seen = pipeline(stages()).statistics
    assert (seen.frames, seen.faces, seen.tracks, seen.skipped) == (0, 0, 0, {})


def failing_at(name, at, error=None, **options):
    parts = stages((FACE,), **options)
    parts[name] = Failing(parts[name], at, error)
    return parts


@pytest.mark.parametrize("name", STAGES)
def test_a_failing_stage_raises(clip, name):
    pipe = pipeline(failing_at(name, [3], ValueError("no such thing")))
    with pytest.raises(ValueError, match="no such thing"):
        everything(pipe, clip)


@pytest.mark.parametrize("options", [{"radius": 0}, {"track": 3, "batch": 4, "wait": 3}], ids=str)
@pytest.mark.parametrize("name", STAGES)
def test_failed_frames_pass_through_in_order(clip, name, options):
    pipe = pipeline(failing_at(name, [3, 8], **options), rescue=True)
    done = everything(pipe, clip)
    assert all(isinstance(frame, Frame) for frame in done)
    assert times(done) == list(range(14))
    for old, new in zip(clip, done, strict=True):
        assert same_planes(old, new)
    if options == {"radius": 0}:
        assert pipe.statistics.passed_through == 2
    else:
        assert 2 <= pipe.statistics.passed_through <= 2 * (1 + pipe.lookahead)


@pytest.mark.parametrize("name", ["track", "align", "smooth"])
def test_rescue_when_a_stage_fails_at_the_end(clip, name):
    parts = failing_at(name, ["flush"], track=3, batch=100, wait=3)
    pipe = pipeline(parts, rescue=True)
    done = everything(pipe, clip)
    assert all(isinstance(frame, Frame) for frame in done)
    assert times(done) == list(range(14))
    assert pipe.statistics.passed_through > 0


@pytest.mark.parametrize("name", STAGES)
def test_rescued_frames_have_the_size_of_all_others(clip, name):
    pipe = pipeline(failing_at(name, [3], scale=2), rescue=True)
    done = everything(pipe, clip[:6])
    assert [(frame.width, frame.height) for frame in done] == [(160, 120)] * 6
    assert same_planes(done[3], enlarge(clip[3], 2))


def test_only_the_frame_that_failed_is_left_alone(clip):
    def brighter(images):
        return np.repeat(np.repeat(images, 4, 2), 4, 3) + np.float32(0.2)

    parts = stages((FACE,), radius=0, super_resolver=predicting(brighter))
    parts["align"] = Failing(parts["align"], [5])
    done = everything(pipeline(parts, rescue=True), clip)
    changed = [not same_planes(old, new) for old, new in zip(clip, done, strict=True)]
    assert changed == [number != 5 for number in range(14)]


def test_rescue_does_not_catch_an_interrupt(clip):
    pipe = pipeline(failing_at("align", [3], KeyboardInterrupt()), rescue=True)
    with pytest.raises(KeyboardInterrupt):
        everything(pipe, clip)


def test_reset_starts_again(clip):
    pipe = pipeline(stages((FACE,), track=3, batch=4, wait=3))
    for frame in clip[:5]:
        pipe.push(frame)
    pipe.reset()
    assert times(everything(pipe, clip[5:])) == list(range(5, 14))


@pytest.mark.parametrize("name", ["track", "align", "smooth"])
def test_nothing_from_before_a_reset_is_rescued_after_it(clip, name):
    pipe = pipeline(failing_at(name, [9], track=1, batch=100, wait=1), rescue=True)
    for frame in clip[:5]:
        pipe.push(frame)
    pipe.reset()
    done = everything(pipe, clip[5:])
    assert times(done) == list(range(5, 14))


def test_leaving_the_context_closes_the_stages_that_need_it(clip):
    parts = stages()
    with pipeline(parts) as pipe:
        pipe.push(clip[0])
        assert not parts["track"].closed
    assert parts["track"].closed


def test_a_pipeline_can_be_used_again_after_a_flush(clip):
    pipe = pipeline(stages((FACE,), track=3))
    assert times(everything(pipe, clip[:5])) == [0, 1, 2, 3, 4]
    again = [replace(frame, pts=frame.pts + 100) for frame in clip[:5]]
    assert times(everything(pipe, again)) == [100, 101, 102, 103, 104]
    assert pipe.statistics.frames == 10


def test_a_setting_that_the_weights_do_not_support_gives_a_notice():
    with build(Config.from_options(model="identity", texture=0.5), tracker=Blind()) as pipeline:
        assert ["texture" in notice for notice in pipeline.notices] == [True]
    with build(Config.from_options(model="identity"), tracker=Blind()) as pipeline:
        assert pipeline.notices == ()


class Blind(Stage):
    """Stand-in for the tracker that finds nobody."""

    def push(self, item):
        return [TrackedFrame(item)]


def test_faces_are_searched_for_while_the_networks_are_loaded(rng):
    frame, loading = make_frame("yuv420p", 32, 48, rng), Future()
    pipeline = Pipeline([("track", FakeTracker())], loading)
    (tracked,) = pipeline.track(frame)
    stages = (("paste", Paster(NUMPY)),)
    loading.set_result(Restoration(stages, placement=None, notices=("late",)))
    assert pipeline.restore(tracked) == [frame]
    assert pipeline.notices == ("late",)
    pipeline.close()


def test_errors_of_loading_reach_the_caller_and_closing_still_works(rng):
    loading = Future()
    pipeline = Pipeline([("track", FakeTracker())], loading)
    loading.set_exception(WeightsError("no such weights"))
    with pytest.raises(WeightsError, match="no such weights"):
        pipeline.push(make_frame("yuv420p", 32, 48, rng))
    pipeline.close()


def test_unknown_weights_are_an_error_in_the_background_too():
    config = Config.from_options(model="no-such-weights")
    pipeline = build(config, tracker=FakeTracker(), in_background=True)
    with pytest.raises(WeightsError, match="no-such-weights"):
        pipeline.flush()
    pipeline.close()


def built(region):
    config = EnhancerConfig.from_options(region=region, model="identity", device="cpu")
    with build(config, tracker=FakeTracker((FACE,)), operations=NUMPY) as pipe:
        everything(pipe, [make_frame("gray", 60, 80, np.random.default_rng(8))])
        return pipe.notices, tuple(pipe.statistics.stage_seconds)


def test_heads_are_looked_for_where_they_are_asked_for():
    face_model("person")
    notices, names = built("head")
    assert notices == ()
    assert names.index("heads") < names.index("align")
    assert "heads" not in built("face")[1]


def test_without_the_person_model_faces_are_enhanced_with_one_notice(tmp_path, monkeypatch):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    monkeypatch.setattr(face_models, "BUNDLED_FOLDER", tmp_path)
    (notice,), names = built("head")
    assert notice.startswith("only faces are enhanced, without hair and neck: ")
    assert "crsr-video models --fetch" in notice
    assert "heads" not in names
    assert built("face")[0] == ()
