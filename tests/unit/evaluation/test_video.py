import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from crsr_video.errors import ConfigError, TrainingError
from crsr_video.evaluation.models import Landmarks
from crsr_video.evaluation.report import VIDEO, as_dicts, as_text
from crsr_video.evaluation.video import (
    DegradedClip,
    FacePlace,
    MethodPipelines,
    cases_of,
    measure_case,
    measure_videos,
    rows_of,
)
from crsr_video.evaluation.video_clips import Clip, KnownFaces
from crsr_video.evaluation.video_measures import FaceMeasurement, Series
from crsr_video.imaging.geometry import crop_from_frame
from crsr_video.imaging.upscaling import enlarge
from crsr_video.io.pictures import from_rgb
from crsr_video.track.regions import Region
from tests.support.frames import landmarks_at
from tests.support.paths import PORTRAIT
from tests.support.video import make_video


class Reader:
    """Stand-in that always returns the same landmarks."""

    def landmarks(self, _, region=None):
        return Landmarks(landmarks_at(32, 32, 64), region or Region(32, 32, 60, 60))


@pytest.fixture
def clip(tmp_path):
    path = make_video(tmp_path / "c.mp4", size=(160, 120), frames=5, options={"crf": "10"})
    return Clip("c", path)


def known(frames: int = 5) -> KnownFaces:
    return KnownFaces([{7: landmarks_at(80, 60, 100)} for _ in range(frames)], 100 / 1.9)


def meter_of(**changes: list[float]) -> FaceMeasurement:
    meter = FaceMeasurement(Reader(), None)
    meter.truth = Series(change=[0.01, 0.01])
    for name, change in changes.items():
        meter.series[name] = Series(
            change=change,
            equal_change=change,
            detail=[0.01],
            psnr=[30.0, 20.0],
            ssim=[0.9, 0.8],
            motion=[0.01, 0.03],
        )
    return meter


def case_of(name: str, group: str) -> DegradedClip:
    return DegradedClip(Clip(name, Path(name)), known(), Path(name), group, None, 24)


def test_a_face_has_the_same_place_in_an_enlarged_picture(rng) -> None:
    # Blobs without edges: two ways of resampling edges differ, and only places are compared.
    blobs = cv2.GaussianBlur(rng.uniform(0, 255, (96, 120, 3)), (0, 0), 3)
    frame = from_rgb(np.clip(128 + 8 * (blobs - 128), 0, 255).astype(np.uint8), 0)
    place = FacePlace(crop_from_frame(landmarks_at(60, 50, 64, 10), 64), 120, 96)
    # As far as a face comes to lie aside when enlarging by 4 forgets about half pixels.
    aside = FacePlace(crop_from_frame(landmarks_at(60 + 3 / 8, 50, 64, 10), 64), 120, 96)
    small, large = place.cut(frame, 64), place.cut(enlarge(frame, 4, "cubic"), 64)
    assert small.shape == (64, 64, 3)
    apart = np.abs(small - large).mean()
    assert apart < 0.01
    assert np.abs(aside.cut(frame, 64) - small).mean() > 3 * apart


def test_crops_are_not_larger_than_in_the_truth() -> None:
    case = DegradedClip(Clip("a", Path("a")), known(), Path("a"), "24 px", None, 24)
    assert [case.crop_size(scale) for scale in (1, 2, 4)] == [64, 91, 100]


def test_a_clip_is_degraded_once_for_each_smaller_face(clip, tmp_path) -> None:
    cases = cases_of(clip, known(), (16, 24, 96), 5, 0, tmp_path)
    assert [(c.group, c.size) for c in cases] == [("16 px", (48, 36)), ("24 px", (72, 54))]


@pytest.mark.parametrize(("scale", "name"), [(1, "degraded"), (4, "bicubic")])
def test_the_input_is_measured_without_models(clip, tmp_path, scale, name) -> None:
    with MethodPipelines([], scale) as methods:
        assert methods.names == (name,)
        for case in cases_of(clip, known(), (24,), 5, 0, tmp_path):
            (meter,) = measure_case(case, methods, Reader(), None, 5)
    assert [len(v) for v in (meter.series[name].psnr, meter.truth.change)] == [5, 4]
    assert 15 < np.mean(meter.series[name].psnr) < 45


def test_an_undegraded_pair_has_a_high_psnr(clip, tmp_path) -> None:
    pair = Clip("c", clip.path, clip.path)
    with MethodPipelines([], 1) as methods:
        (case,) = cases_of(pair, known(), (24,), 5, 0, tmp_path)
        (meter,) = measure_case(case, methods, Reader(), None, 5)
    assert case.group == "c" and case.face == pytest.approx(known().width)
    assert min(meter.series["degraded"].psnr) > 48  # the truth is rounded once more, to RGB


def test_naming_a_model_twice_is_an_error() -> None:
    with pytest.raises(ConfigError, match="twice"):
        MethodPipelines(["fast", "fast"], 1)


def test_flicker_is_relative_to_that_of_the_input() -> None:
    quiet = meter_of(bicubic=[0.01, 0.03], net=[0.01, 0.01])
    lively = meter_of(bicubic=[0.1, 0.3], net=[0.4, 0.4])
    found = [(case_of("a", "24 px"), [quiet]), (case_of("b", "48 px"), [lively])]
    rows = {(r.input, r.method): r for r in rows_of(found, ("bicubic", "net"), 4)}
    groups = ("24 px", "48 px", "all")
    assert list(rows) == [(g, m) for g in groups for m in ("bicubic", "net")]
    figures = {key: row.figures for key, row in rows.items()}
    assert [figures[g, "net"]["flicker"] for g in groups] == pytest.approx([0.5, 2, 1.25])
    assert [figures[g, "bicubic"]["flicker"] for g in groups] == pytest.approx([1, 1, 1])
    assert figures["24 px", "bicubic"]["flicker_worst"] == pytest.approx(1.5)
    assert figures["48 px", "net"]["flicker_of_truth"] == pytest.approx(40)
    everything = figures["all", "net"]
    assert rows["all", "net"].faces == 4
    assert (everything["psnr"], everything["psnr_worst"]) == (25, 20)
    assert everything["motion_worst"] == pytest.approx(0.03)


def test_missing_measures_are_left_empty() -> None:
    rows = rows_of([(case_of("a", "24 px"), [meter_of(bicubic=[0.1, 0.1])])], ("bicubic",), 4)
    (line,) = as_dicts(rows)
    assert "identity" not in line and json.dumps(line, allow_nan=False)
    text = [" ".join(line.split()) for line in as_text(rows, VIDEO).splitlines()]
    assert len(text) == 3 and {row.count("|") for row in text} == {16}
    assert "| 4 | 24 px | bicubic | 2 | 25.00 | 20.00 | 0.850 | 0.800 | 1.00 | 1.00 |" in text[2]


@pytest.mark.usefixtures("face_models")
def test_a_real_clip_is_degraded_and_measured(tmp_path) -> None:
    shutil.copy(PORTRAIT, tmp_path)
    rows = measure_videos(["identity"], tmp_path, frames=6, faces=(32,), scale=1)
    assert [(r.input, r.method, r.faces) for r in rows] == [
        ("32 px", "degraded", 6),
        ("32 px", "identity", 6),
    ]
    assert all(20 < r.figures["psnr"] < 50 and 0 < r.figures["motion"] < 0.5 for r in rows)
    assert rows[0].figures["flicker"] == pytest.approx(1)


@pytest.mark.usefixtures("face_models")
def test_clips_without_faces_are_an_error(clip, caplog) -> None:
    with pytest.raises(TrainingError, match="no clip in"):
        measure_videos([], clip.path.parent, frames=4)
    assert "no face stays in view in c" in caplog.text
