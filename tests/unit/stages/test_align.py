from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from crsr_video.imaging.geometry import (
    apply,
    canonical_landmarks,
    compose,
    crop_from_frame,
    crop_side,
    resize_matrix,
)
from crsr_video.imaging.warping import warp
from crsr_video.io.frames import from_rgb
from crsr_video.stages import align
from crsr_video.stages.align import CROP_SIZES, Aligner, detail_side, lost_at
from tests.support.frames import flat_frame, frame_of, make_face, make_frame, tracked
from tests.support.operations import NUMPY

# Read off the picture, which comes with scikit-image.
LANDMARKS = np.array([[202.5, 101.7], [247, 103.5], [225, 124.5], [205, 140.7], [243, 143]])


def portrait(side, detail=None, noise=0.0):
    """A frame with a real face whose crop is `side` pixels wide; returns frame and landmarks.

    Args: detail: pixels a side that it was shrunk to before; None: as sharp as it can be.
    """
    scale = side / crop_side(LANDMARKS)
    shift = np.array([[1.0, 0, -85], [0, 1, 0]])
    matrix = compose(resize_matrix(scale), shift)
    width, height = round(280 * scale), round(250 * scale)
    if detail is None:
        picture = warp(astronaut(), matrix, width, height)
    else:
        small = detail / crop_side(LANDMARKS)
        small_matrix = compose(resize_matrix(small), shift)
        shrunk = warp(astronaut(), small_matrix, round(280 * small), round(250 * small))
        picture = warp(shrunk, resize_matrix(side / detail), width, height)
    if noise:
        picture += np.random.default_rng(1).normal(0, 255 * noise, picture.shape)
    frame = from_rgb(np.clip(picture + 0.5, 0, 255).astype(np.uint8), 0)
    return frame, apply(matrix, LANDMARKS)


def luma_crop(side, detail=None, noise=0.0):
    """The same as a crop for `detail_side`, never rounded."""
    picture = warp(astronaut(), crop_from_frame(LANDMARKS, side), side, side)
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    if detail is not None:
        small = warp(luma, resize_matrix(detail / side), detail, detail)
        luma = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return (luma + np.random.default_rng(1).normal(0, noise, luma.shape)).astype(np.float32)


def strokes(side, seed=4):
    """A picture with thin sharp lines and nothing else; as detailed as its size allows."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side), 0.5, np.float32)
    for line in rng.integers(0, side, (side // 8, 4)).tolist():
        cv2.line(picture, tuple(line[:2]), tuple(line[2:]), float(rng.uniform()), 1)
    return picture


def aligned(frame, landmarks, **fields):
    face = replace(make_face(), landmarks=landmarks, **fields)
    (item,) = Aligner(NUMPY).push(tracked(frame, face))
    return item.faces[0]


@pytest.fixture
def measured(monkeypatch):
    """Decides what is measured: set measured["side"] (pixels) and measured["noise"] (RMS)."""
    said = {"side": 32.0, "noise": 0.0, "calls": 0}

    def fake(_picture):
        said["calls"] += 1
        return said["side"]

    monkeypatch.setattr(align, "detail_side", fake)
    monkeypatch.setattr(align, "lost_at", lambda _picture, _size: (0.0, said["noise"]))
    return said


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


@pytest.mark.parametrize(("side", "size"), [(20, 32), (30, 32), (60, 64), (125, 128)])
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


@pytest.mark.parametrize(("noise", "size"), [(0, 64), (0.3, 64), (1, 128), (9, 128)])
def test_noise_does_not_make_a_face_small(measured, noise, size):
    measured["side"], measured["noise"] = 30, noise / 255
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    assert aligned(frame, canonical_landmarks(200) + 10).crop.size == size


def test_where_there_is_time_a_crop_gives_way_to_one_that_holds_the_face(measured):
    """What a crop cannot hold stays in the frame."""
    frame = flat_frame("gray", 300, 300, (0.5, 0.5, 0.5))
    sizes = {}
    for native, side in ((98, 80), (106, 80), (115, 60), (280, 60), (115, 100)):
        measured["side"] = side
        stage = Aligner(NUMPY, policy=align.FAST_CROPS)
        (item,) = stage.push(tracked(frame, make_face(150, 150, native)))
        sizes[native, side] = item.faces[0].crop.size
    assert sizes == {(98, 80): 64, (106, 80): 128, (115, 60): 64, (280, 60): 64, (115, 100): 128}


@pytest.mark.parametrize("bits", [8, 10])
def test_blocks_are_told_from_edges(bits, rng):
    layout = "gray" if bits == 8 else "gray10-limited"
    unit = 2 ** (bits - 8)
    smooth = 60 + 120 * cv2.GaussianBlur(rng.random((160, 160)), (0, 0), 5)
    smooth[:, 70:] += 60  # An edge that happens to lie inside a block.
    blocks = rng.normal(0, 2, (20, 20)).repeat(8, 0).repeat(8, 1)
    box = (12.0, 9.0, 150.0, 148.0)
    clean, blocky = (
        align.block_steps(frame_of(layout, picture * unit), box)
        for picture in (smooth, smooth + blocks)
    )
    assert abs(clean) < 0.3 / 255
    assert blocky > 1.0 / 255


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


def test_noise_is_told_from_edges(rng):
    clean = luma_crop(256, 60)
    for noise in (0.004, 0.01, 0.03):
        noisy = clean + rng.normal(0, noise, clean.shape).astype(np.float32)
        found = lost_at(noisy, 181)[1]
        assert 0.4 * noise < found < 1.1 * noise  # shrinking by the root of two keeps a part of it
    assert lost_at(clean, 181)[1] < 0.001


def test_a_large_sharp_face_is_left_alone_and_says_why():
    frame = frame_of("gray", strokes(600) * 255)
    face = aligned(frame, canonical_landmarks(500) + 50)
    assert "sharp" in face.skipped
    assert face.crop is None


def test_what_lies_beyond_the_crop_of_a_soft_face_is_replaced(measured):
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


# What a track remembers


def push_many(aligner, frame, face, count):
    """The same face in `count` frames; the last one's result."""
    for _ in range(count):
        (item,) = aligner.push(tracked(frame, face))
    return item.faces[0]


@pytest.fixture
def plain():
    frame = flat_frame("gray", 200, 200, (0.5, 0.5, 0.5))
    return frame, make_face(100, 100, 150)


def test_detail_is_measured_now_and_then_only(measured, plain):
    push_many(Aligner(NUMPY), *plain, 60)
    assert 2 <= measured["calls"] <= 10


BORDER = align.FAST_CROPS.holds[64]
"""Pixels of detail at which the second crop size ends and the third begins."""

LONG = 12 * 12
"""Frames after which a track has forgotten how it began."""


@pytest.mark.parametrize(
    ("first", "then", "size"),
    [
        (0.9, 1.05, 64),  # not far enough beyond the border
        (1.2, 0.95, 128),
        (0.9, 1.3, 128),
        (1.2, 0.7, 64),
    ],
)
def test_a_track_changes_its_crop_size_well_beyond_the_border_only(
    measured, plain, first, then, size
):
    aligner = Aligner(NUMPY)
    measured["side"] = first * BORDER
    assert push_many(aligner, *plain, 12).crop.size == (64 if first < 1 else 128)
    measured["side"] = then * BORDER
    assert push_many(aligner, *plain, LONG).crop.size == size


def test_one_odd_measurement_does_not_change_a_track(measured, plain):
    aligner = Aligner(NUMPY)
    measured["side"] = 50
    push_many(aligner, *plain, 24)
    measured["side"] = 140
    assert push_many(aligner, *plain, 12).crop.size == 64


def test_a_face_that_grows_is_not_measured_as_larger_than_it_is(measured, plain):
    measured["side"] = 500
    frame, _ = plain
    assert push_many(Aligner(NUMPY), frame, make_face(100, 100, 30), 1).crop.size == 32


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_nothing_is_remembered_over_a_cut(measured, plain, how):
    aligner = Aligner(NUMPY)
    frame, face = plain
    measured["side"] = 120
    assert push_many(aligner, frame, face, 1).crop.size == 128
    measured["side"] = 20
    if how == "reset":
        aligner.reset()
    (item,) = aligner.push(tracked(frame, face, cut=how == "cut"))
    assert item.faces[0].crop.size == 64
    assert item.cut == (how == "cut")


def test_tracks_are_measured_one_by_one(measured, plain):
    aligner = Aligner(NUMPY)
    frame, face = plain
    measured["side"] = 120
    push_many(aligner, frame, face, 12)
    measured["side"] = 20
    (item,) = aligner.push(tracked(frame, face, replace(face, track=1)))
    assert [f.crop.size for f in item.faces] == [128, 64]


def test_tracks_long_gone_are_measured_again(measured, plain):
    aligner = Aligner(NUMPY)
    push_many(aligner, *plain, 10)
    for _ in range(400):
        aligner.push(tracked(plain[0]))
    before = measured["calls"]
    push_many(aligner, *plain, 1)
    assert measured["calls"] == before + 1


# Frames that wait for a batch


def waiting(number, *faces):
    return tracked(flat_frame("gray", 100, 100, (0.5,) * 3), *faces, cut=number == 0)


def faces_of(count, **fields):
    return [make_face(50, 50, 40, track=track, **fields) for track in range(count)]


def test_frames_without_crops_go_on_at_once():
    aligner = Aligner(NUMPY, batch=4, lookahead=3)
    for number in range(5):
        (done,) = aligner.push(waiting(number, make_face(skipped="too small")))
        assert done.cut == (number == 0)


def test_frames_without_crops_wait_behind_those_with():
    aligner = Aligner(NUMPY, batch=4, lookahead=3)
    assert aligner.push(waiting(0, *faces_of(1))) == []
    assert aligner.push(waiting(1)) == []
    assert aligner.push(waiting(2)) == []
    done = aligner.push(waiting(3))
    assert [item.cut for item in done] == [True, False, False, False]
    assert [len(item.faces) for item in done] == [1, 0, 0, 0]
    assert done[0].faces[0].crop is not None


def test_a_full_batch_goes_on_at_once():
    aligner = Aligner(NUMPY, batch=3, lookahead=100)
    assert aligner.push(waiting(0, *faces_of(1))) == []
    assert len(aligner.push(waiting(1, *faces_of(2)))) == 2


def test_faces_that_the_networks_do_not_see_fill_no_batch():
    aligner = Aligner(NUMPY, batch=2, lookahead=100)
    assert aligner.push(waiting(0, *faces_of(1))) == []
    assert aligner.push(waiting(1, *faces_of(4, fresh=False))) == []


@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_no_more_frames_wait_than_declared(lookahead):
    aligner = Aligner(NUMPY, batch=1000, lookahead=lookahead)
    assert aligner.lookahead == lookahead
    inside = 0
    for number in range(12):
        inside += 1 - len(aligner.push(waiting(number, *faces_of(1))))
        assert inside <= lookahead
    assert len(aligner.flush()) == inside
    assert aligner.flush() == []


def test_reset_drops_the_frames_that_wait():
    aligner = Aligner(NUMPY, batch=10, lookahead=10)
    aligner.push(waiting(0, *faces_of(1)))
    aligner.reset()
    assert aligner.flush() == []


# How detail is measured


def test_detail_falls_as_a_face_is_blurred():
    found = [detail_side(luma_crop(256, detail)) for detail in (24, 48, 96, 160)]
    assert all(a < b for a, b in pairwise(found))
    for detail, side in zip((24, 48, 96, 160), found, strict=True):
        assert 0.7 * detail < side < 1.3 * detail


@pytest.mark.parametrize("detail", [48, 96, 160])
def test_detail_does_not_depend_on_the_size_of_the_picture(detail):
    found = [detail_side(luma_crop(side, detail)) for side in (170, 256, 400)]
    assert max(found) < 1.4 * min(found)


@pytest.mark.parametrize("detail", [48, 96, 160])
@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_noise_is_not_taken_for_detail_nor_hides_much_of_it(detail, noise):
    clean = detail_side(luma_crop(256, detail))
    found = detail_side(luma_crop(256, detail, noise))
    assert (0.8 if noise < 0.01 else 0.6) * clean < found < 1.1 * clean


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_noise_alone_is_no_detail(noise):
    picture = np.random.default_rng(2).normal(0.5, noise, (256, 256)).astype(np.float32)
    assert detail_side(picture) <= CROP_SIZES[0]


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512])
def test_detail_is_at_most_the_size_and_near_it_for_sharp_lines(side):
    assert 0.7 * side < detail_side(strokes(side)) <= side


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_brightness_does_not_count_as_detail(level):
    assert detail_side(np.full((128, 128), level, np.float32)) <= CROP_SIZES[0]


def test_full_crops_are_never_smaller_than_fast_ones():
    for side in np.linspace(8, 300, 100):
        assert align.FULL_CROPS.crop_size(side) >= align.FAST_CROPS.crop_size(side)
    assert {align.FULL_CROPS.crop_size(s) for s in (20, 50, 200)} == set(CROP_SIZES)


def test_full_crops_keep_a_face_as_large_as_it_is(rng):
    """A soft face of 90 pixels: the fast crop is 64 wide, the full one 128."""
    soft = cv2.GaussianBlur(rng.random((120, 120, 3), np.float32), (0, 0), 6)
    picture = np.rint(soft * 255).astype(np.uint8)
    frame = frame_of("rgb24", *picture.transpose(2, 0, 1))
    face = make_face(60, 60, 90)
    sizes = []
    for policy in (align.FAST_CROPS, align.FULL_CROPS):
        (done,) = Aligner(NUMPY, policy=policy).push(tracked(frame, face))
        sizes.append(done.faces[0].crop.size)
    assert sizes == [64, 128]
