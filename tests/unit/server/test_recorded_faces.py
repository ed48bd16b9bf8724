"""Frames are found in a tracks file by their content."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from crsr_video.errors import ServerError
from crsr_video.io.pictures import from_rgb
from crsr_video.server import Client, EffectSettings
from crsr_video.server.protocol import EffectFlag
from crsr_video.server.recorded_faces import PictureArea, RecordedFaces, TracksIndex
from crsr_video.track.tracks_file import Recorder, TrackingSettings, VideoFacts, signatures, write
from tests.support.frames import make_face, tracked
from tests.support.server import portrait

FACTS = VideoFacts(320, 240, Fraction(1, 30), 0, Fraction(1), 1234, 1.0, "0" * 64)


def frame(rgb, index=0):
    return from_rgb(np.ascontiguousarray(rgb[..., :3]), index)


def film(count=12):
    """Return frames of a face that moves, with a cut in the middle."""
    return [portrait(dx if dx < count // 2 else 3 * dx - 60) for dx in range(count)]


def recorded(shown, facts=FACTS):
    recorder = Recorder()
    for number, rgb in enumerate(shown):
        dx = number if number < len(shown) // 2 else 3 * number - 60
        face = make_face(160 + dx, 112, 1.9 * 66, track=4)
        recorder.add(tracked(frame(rgb, number), face, cut=number in (0, len(shown) // 2)))
    return recorder.recording(facts, TrackingSettings(), "test")


DEGRADATIONS = {
    "itself": lambda p: p,
    "rounding": lambda p: np.clip(np.rint(p / 2.19) * 2.19 + 0.4, 0, 255).astype(np.uint8),
    "brighter": lambda p: np.clip(p * 0.8 + 30, 0, 255).astype(np.uint8),
    "smaller": lambda p: cv2.resize(p, (160, 120), interpolation=cv2.INTER_AREA),
    "larger": lambda p: cv2.resize(p, (640, 480), interpolation=cv2.INTER_CUBIC),
}


@pytest.mark.parametrize("degrade", DEGRADATIONS.values(), ids=DEGRADATIONS.keys())
def test_a_frame_is_recognised_after_a_change_of_contrast_or_size(degrade):
    shown = film()
    known = TracksIndex(recorded(shown))
    found = [known.find(signatures.signature_of(frame(degrade(rgb)))) for rgb in shown]
    assert found == list(range(12))


def test_another_picture_is_not_recognised(rng):
    known = TracksIndex(recorded(film()))
    for other in (np.zeros((240, 320, 3)), rng.integers(0, 255, (240, 320, 3)), portrait()[::-1]):
        assert known.find(signatures.signature_of(frame(other.astype(np.uint8)))) is None


def test_the_fast_search_finds_the_same_frame_as_a_full_search(rng):
    base = rng.uniform(50, 200, (12, 16))
    drift = np.cumsum(rng.normal(0, 0.5, (900, 12, 16)), 0) + base
    packer = signatures.SignaturePacker()
    for picture in drift:
        packer.add(picture.astype(np.float32).clip(0, 255))
    made = replace(recorded(film(2)), times=np.arange(900) * 3, signatures=packer.text())
    known = TracksIndex(made)
    for index in range(0, 900, 37):
        assert known.find(drift[index].astype(np.float32)) == index * 3


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((320, 240), (0, 0, 320, 240)),
        ((640, 480), (0, 0, 640, 480)),
        ((640, 360), (80, 0, 480, 360)),
        ((300, 400), (0, 87, 300, 225)),
    ],
    ids=str,
)
def test_the_area_between_bars_is_found(size, wanted):
    fit = PictureArea.fit(FACTS, *size)
    assert (fit.x, fit.y, fit.width, fit.height) == wanted
    # The video's edges come to lie on the rectangle's.
    corners = fit.map_points(np.array([[-0.5, -0.5], [319.5, 239.5]]))
    x, y, width, height = wanted
    assert corners == pytest.approx(np.array([[x, y], [x + width, y + height]]) - 0.5)


def test_the_area_of_a_rotated_anamorphic_video_is_upright():
    facts = replace(FACTS, rotation=90, sample_aspect=Fraction(4, 3))
    assert PictureArea.fit(facts, 240, 320).width == 240  # as FFmpeg hands it on
    fit = PictureArea.fit(facts, 720, 1280)  # as an editor shows it: 240 : 320 * 4 / 3
    assert (fit.x, fit.y, fit.width, fit.height) == (0, 0, 720, 1280)
    assert fit.scale == pytest.approx(4)
    # A quarter turn counter-clockwise brings the upper right corner to the upper left.
    assert fit.map_points(np.array([[319.5, -0.5]])) == pytest.approx(np.array([[-0.5, -0.5]]))


def test_faces_are_mapped_to_the_frames_of_the_host():
    recall = RecordedFaces(TracksIndex(recorded(film())), Path("t.json"), 16.0)
    shown = cv2.copyMakeBorder(
        cv2.resize(film()[3][..., :3], (480, 360), interpolation=cv2.INTER_CUBIC),
        *(0, 0, 80, 80),
        cv2.BORDER_CONSTANT,
    )
    (found,) = recall.push(frame(shown))
    (face,) = found.faces
    wanted = (make_face(163, 112, 1.9 * 66).landmarks + 0.5) * 1.5 - 0.5 + (80, 0)
    assert face.track == 4
    assert np.abs(face.landmarks - wanted).max() < 0.02
    assert recall.notices == ()
    (strange,) = recall.push(frame(np.zeros_like(shown)))
    assert strange.faces == ()
    assert "does not contain this frame" in recall.notices[0]


@pytest.fixture
def tracks(folder):
    path = folder / "t.json"
    write(recorded(film()), path)
    return path


def through(server, settings, shown):
    with Client(settings, path=server.path, command=()) as client:
        return [client.process(picture) for picture in shown]


def test_frames_have_the_same_faces_in_any_order(shared, tracks):
    shown = film()
    settings = EffectSettings(tracks=str(tracks))
    once = through(shared, settings, shown)
    assert [result.enhanced for result in once] == [1] * 12
    order = [7, 0, 11, 3, 3, 6]
    again = through(shared, settings, [shown[i] for i in order])
    for index, result in zip(order, again, strict=True):
        assert np.array_equal(result.picture, once[index].picture)


def test_people_are_chosen_by_track_id(shared, tracks):
    shown = film()[:2]
    for persons, enhanced in (("4", 1), ("1,3", 0), ("4=off", 0), ("4=strength:0.5;4", 1)):
        found = through(shared, EffectSettings(tracks=str(tracks), persons=persons), shown)
        assert [result.enhanced for result in found] == [enhanced] * 2
    drawn = through(shared, EffectSettings(tracks=str(tracks), flags=EffectFlag.DEBUG), shown)
    assert drawn[0].seen == 1


def test_an_unknown_frame_is_left_unchanged_with_a_notice(shared, tracks):
    (found,) = through(
        shared, EffectSettings(tracks=str(tracks)), [np.zeros((240, 320, 3), np.uint8)]
    )
    assert (found.changed, found.seen) == (False, 0)
    assert found.notice == f"{tracks}: does not contain this frame, which is left unchanged"


def test_a_tracks_file_without_thumbnails_is_refused(shared, tracks):
    old = json.loads(tracks.read_text())
    del old["pictures"]
    tracks.write_text(json.dumps(old))
    with pytest.raises(ServerError, match="write the file again"):
        through(shared, EffectSettings(tracks=str(tracks)), [])
