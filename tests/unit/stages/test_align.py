from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from crsr_video.imaging.geometry import (
    apply,
    canonical_landmarks,
    resize_matrix,
)
from crsr_video.io.pictures import from_rgb
from crsr_video.stages import align
from crsr_video.stages.align import CROP_SIZES, Aligner
from tests.support.frames import flat_frame, frame_of, make_face, make_frame, tracked
from tests.support.operations import NUMPY
from tests.support.soft_faces import portrait, strokes


def aligned(frame, landmarks, **fields):
    face = replace(make_face(), landmarks=landmarks, **fields)
    (item,) = Aligner(NUMPY).push(tracked(frame, face))
    return item.faces[0]


def test_a_face_of_a_crop_s_size_is_cut_out_unchanged(rng):
    frame = from_rgb(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8), 0)
    face = aligned(frame, np.add(canonical_landmarks(32), (17, 9)))
    expected = np.stack(frame.components)[:, 9:41, 17:49] / 255
    assert face.crop.size == 32
    assert np.abs(face.crop.image - expected).max() < 1e-5
    assert face.crop.crop_from_frame == pytest.approx(np.array([[1, 0, -17], [0, 1, -9]]))
    assert face.skipped is None
    assert face.detail == 0  # what the frame shows and the crop is the same band
    assert face.presence == 1


def test_crops_are_legal_pictures(rng):
    harsh = rng.choice([0, 255], (60, 80, 3)).astype(np.uint8)  # cubic kernels overshoot here
    face = aligned(from_rgb(harsh, 0), np.add(canonical_landmarks(40), (17.3, 9.1)))
    image = face.crop.image
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10", "gray", "yuv444p16"])
def test_colours_arrive_as_rgb(name):
    colour = (0.6, 0.6, 0.6) if name == "gray" else (0.8, 0.5, 0.3)
    face = aligned(flat_frame(name, 64, 64, colour), canonical_landmarks(48) + 8)
    for channel, value in enumerate(colour):
        assert face.crop.image[channel] == pytest.approx(value, abs=0.01)


def test_a_turned_face_is_upright_in_its_crop():
    frame, landmarks = portrait(64)
    upright = aligned(frame, landmarks).crop.image
    turned = from_rgb(np.rot90(np.stack(frame.components, -1)).copy(), 0)
    moved = apply(np.array([[0.0, 1, 0], [-1, 0, frame.width - 1]]), landmarks)
    assert np.abs(aligned(turned, moved).crop.image - upright).max() < 0.03


def test_an_anamorphic_face_gets_the_same_crop():
    frame, landmarks = portrait(64)
    planes = [cv2.resize(p, (frame.width * 2, frame.height)) for p in frame.components]
    wide = frame_of("rgb24", *planes, sample_aspect=Fraction(1, 2))
    face = aligned(wide, apply(resize_matrix(2, 1), landmarks))
    assert face.crop.size == aligned(frame, landmarks).crop.size
    assert np.abs(face.crop.image - aligned(frame, landmarks).crop.image).mean() < 0.02


@pytest.mark.parametrize(("side", "size"), [(20, 32), (30, 32), (60, 64), (125, 96), (180, 128)])
def test_the_crop_size_follows_the_size_of_a_sharp_face(side, size):
    assert aligned(*portrait(side)).crop.size == size


@pytest.mark.parametrize(("side", "detail", "size"), [(300, 60, 64), (300, 30, 64)])
def test_a_large_blurred_face_is_a_small_face(side, detail, size):
    face = aligned(*portrait(side, detail))
    assert face.crop.size == size
    assert face.detail == 0  # it is clean: there is nothing beyond the crop's band to take out


@pytest.mark.parametrize(("noise", "replaced"), [(0, 0), (0.3, 0), (0.7, 0.5), (1, 1), (9, 1)])
def test_the_band_beyond_the_crop_is_replaced_where_it_is_noise(measured, noise, replaced):
    measured["side"], measured["noise"] = 50, noise / 255
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    face = aligned(frame, canonical_landmarks(280) + 10)
    assert face.detail == pytest.approx(replaced)


@pytest.mark.parametrize(("noise", "size"), [(0, 64), (0.3, 64), (1, 96), (9, 96)])
def test_noise_does_not_make_a_face_small(measured, noise, size):
    measured["side"], measured["noise"] = 30, noise / 255
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    assert aligned(frame, canonical_landmarks(200) + 10).crop.size == size


def test_offline_runs_choose_a_crop_that_holds_the_detail_of_the_face(measured):
    """Detail beyond the crop's band stays in the frame."""
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    sizes = {}
    for native, side in ((75, 70), (98, 80), (115, 60), (280, 60), (98, 98), (115, 100)):
        measured["side"] = side
        stage = Aligner(NUMPY, policy=align.FAST_CROPS)
        (item,) = stage.push(tracked(frame, make_face(150, 150, native)))
        sizes[native, side] = item.faces[0].crop.size
    assert list(sizes.values()) == [64, 64, 64, 64, 64, 128]


def test_the_enlargement_fits_the_result_and_changes_seldom(measured):
    """The result gets at least 1.3 samples per pixel."""
    measured["side"] = 60
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    stage = Aligner(NUMPY)
    found = []
    for native in (50, 84, 88, 84, 88, 118, 200):
        (item,) = stage.push(tracked(frame, make_face(150, 150, native)))
        found.append(item.faces[0].enlargement)
    assert found == [2, 2, 2, 2, 2, 3, 4]
    (item,) = Aligner(NUMPY, scale=4).push(tracked(frame, make_face(150, 150, 50)))
    assert item.faces[0].enlargement == 4


def test_blocks_are_replaced_beyond_the_crop(measured):
    """They lie on few samples, so the median of fine detail does not see them."""
    measured["side"] = 50
    rng = np.random.default_rng(2)
    blocks = rng.normal(0, 4, (40, 40)).repeat(8, 0).repeat(8, 1)
    found = [
        aligned(frame_of("gray", 120 + picture), canonical_landmarks(280) + 10).detail
        for picture in (0 * blocks, blocks)
    ]
    assert found == pytest.approx([0, 1])


def test_a_large_sharp_face_is_left_alone_and_says_why():
    frame = frame_of("gray", strokes(600) * 255)
    face = aligned(frame, canonical_landmarks(500) + 50)
    assert "sharp" in face.skipped
    assert face.crop is None


def test_detail_beyond_the_crop_of_a_soft_face_is_replaced(measured):
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    measured["side"], measured["noise"] = 50, 0.01
    details = [
        aligned(frame, canonical_landmarks(side) + 10).detail
        for side in (55, 64, 80, 100, 128, 280)
    ]
    assert details[:2] == pytest.approx([0, 0])  # the frame shows nothing beyond the crop's band
    assert details == sorted(details)
    assert details[-2:] == pytest.approx([1, 1])


def test_between_useful_and_sharp_the_correction_fades(measured):
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    landmarks = canonical_landmarks(280) + 10
    measured["noise"] = 0.01
    presences, details = [], []
    for side in (110, 128, 160, 192, 224, 255):
        measured["side"] = side
        face = aligned(frame, landmarks, presence=0.8)
        presences.append(face.presence)
        details.append(face.detail)
    assert presences[:2] == pytest.approx([0.8, 0.8])
    assert all(a > b for a, b in pairwise(presences[1:]))
    assert presences[-1] < 0.01
    assert details[0] == 1
    assert details == sorted(details, reverse=True)
    assert details[3] == 0  # real detail beyond the largest crop is kept


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 30.0),
        np.full((5, 2), np.nan),
        np.where(np.arange(10).reshape(5, 2) == 4, np.inf, canonical_landmarks(32)),
        canonical_landmarks(32) * 1e-12,
        canonical_landmarks(32) * 1e12,
    ],
    ids=["coincide", "nan", "inf", "tiny", "gigantic"],
)
def test_degenerate_landmarks_are_skipped_and_not_raised(landmarks, rng):
    frame = make_frame("yuv420p", 60, 80, rng)
    bad = replace(make_face(track=1), landmarks=landmarks)
    good = make_face(40, 30, 32, track=2)
    (item,) = Aligner(NUMPY).push(tracked(frame, bad, good))
    assert "landmarks" in item.faces[0].skipped
    assert item.faces[0].crop is None
    assert item.faces[1].crop is not None


@pytest.mark.parametrize("centre", [(-5, -5), (100, 30), (-500, 30), (40, 1e5)])
def test_faces_over_the_edge_and_beyond_do_no_harm(centre, rng):
    face = make_face(*centre, 32)
    (item,) = Aligner(NUMPY).push(tracked(make_frame("yuv420p", 60, 80, rng), face))
    found = item.faces[0]
    assert found.skipped is not None or np.isfinite(found.crop.image).all()


def test_faces_that_are_skipped_already_stay_as_they_are(rng):
    face = make_face(skipped="too small")
    (item,) = Aligner(NUMPY).push(tracked(make_frame("gray", 60, 80, rng), face))
    assert item.faces[0] is face


def test_frames_without_faces_pass(rng):
    frame = make_frame("gray", 6, 8, rng)
    (item,) = Aligner(NUMPY).push(tracked(frame, cut=True))
    assert item.frame is frame
    assert item.cut
    assert Aligner(NUMPY).flush() == []
    assert Aligner(NUMPY).lookahead == 0


def test_full_crops_are_never_smaller_than_fast_ones():
    for side in np.linspace(8, 300, 100):
        assert align.FULL_CROPS.crop_size(side) >= align.FAST_CROPS.crop_size(side)
    assert {align.FULL_CROPS.crop_size(s) for s in (20, 50, 80, 200)} == set(CROP_SIZES)


def test_full_crops_keep_a_face_as_large_as_it_is(rng):
    """A soft face of 90 pixels: the fast crop is 64 wide, the full one 96."""
    soft = cv2.GaussianBlur(rng.random((120, 120, 3), np.float32), (0, 0), 6)
    picture = np.rint(soft * 255).astype(np.uint8)
    frame = frame_of("rgb24", *picture.transpose(2, 0, 1))
    face = make_face(60, 60, 90)
    sizes = []
    for policy in (align.FAST_CROPS, align.FULL_CROPS):
        (done,) = Aligner(NUMPY, policy=policy).push(tracked(frame, face))
        sizes.append(done.faces[0].crop.size)
    assert sizes == [64, 96]
