from dataclasses import replace

import cv2
import numpy as np
import pytest

from crsr_video.imaging.colour import to_codes
from crsr_video.imaging.geometry import apply, compose, crop_from_frame, invert, resize_matrix
from crsr_video.imaging.masks import face_mask
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.imaging.upscaling import enlarge
from crsr_video.networks import Bicubic, IdentityConsistifier
from crsr_video.stages.align import Aligner
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.paste import Paster
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage
from crsr_video.types import Crop
from tests.support.frames import (
    ALL,
    LAYOUTS,
    flat_frame,
    frame_of,
    make_face,
    make_frame,
    plane_shapes,
    positions,
    same_planes,
    tracked,
)
from tests.support.operations import NUMPY, predictor


def through_identity(item, detail=None):
    """Align faces, and enlarge their crops without a change. `detail` replaces the measured one."""
    (item,) = Aligner(NUMPY).push(item)
    (item,) = ConsistifyStage(predictor(IdentityConsistifier()), NUMPY).push(item)
    (item,) = SuperResolveStage(predictor(Bicubic()), NUMPY).push(item)
    (item,) = Smoother(NUMPY, 2, causal=True).push(item)
    if detail is None:
        return item
    return replace(item, faces=tuple(replace(face, detail=detail) for face in item.faces))


def invented(item, rng, amount=1.0):
    """Return the item with noise added to its enhanced faces."""
    faces = []
    for face in through_identity(item).faces:
        wild = face.enhanced.image + amount * rng.normal(0, 1, face.enhanced.image.shape)
        new = Crop(wild.astype(np.float32), face.enhanced.crop_from_frame)
        faces.append(replace(face, enhanced=new))
    return replace(item, faces=tuple(faces))


def three_faces(height, width):
    """Return a small, a large, and a rotated face over the edge."""
    return (
        make_face(width * 0.3, height * 0.4, 40, 17, track=0),
        make_face(width * 0.7, height * 0.5, 70, -40, track=1),
        make_face(width - 5, height - 8, 50, track=2),
    )


@pytest.mark.parametrize("name", ALL)
def test_an_identity_network_changes_no_bit(name, rng):
    frame = make_frame(name, 101, 151, rng)
    item = through_identity(tracked(frame, *three_faces(101, 151)), detail=0.0)
    assert all(face.enhanced is not None for face in item.faces)
    (done,) = Paster(NUMPY).push(item)
    assert same_planes(done, frame)


@pytest.mark.parametrize("name", ALL)
def test_an_identity_network_changes_no_bit_of_an_enlarged_frame(name, rng):
    frame = make_frame(name, 61, 81, rng)
    item = through_identity(tracked(frame, *three_faces(61, 81)), detail=0.0)
    (done,) = Paster(NUMPY, scale=2).push(item)
    assert same_planes(done, enlarge(frame, 2))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("colour", [(0.5, 0.5, 0.5), (0.85, 0.62, 0.51), (0, 0, 0), (1, 1, 1)])
def test_a_flat_frame_stays_flat(name, colour):
    frame = flat_frame(name, 100, 150, colour)
    item = through_identity(tracked(frame, *three_faces(100, 150)), detail=1.0)
    (done,) = Paster(NUMPY).push(item)
    for old, new in zip(frame.components, done.components, strict=True):
        assert np.abs(new.astype(int) - old).max() <= 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("detail", [0.0, 1.0])
def test_pixels_outside_the_masks_are_bit_identical(name, detail, rng):
    frame = make_frame(name, 121, 161, rng)
    item = invented(tracked(frame, *three_faces(121, 161)), rng)
    item = replace(item, faces=tuple(replace(f, detail=detail) for f in item.faces))
    (done,) = Paster(NUMPY).push(item)
    for index, (old, new) in enumerate(zip(frame.components, done.components, strict=True)):
        plane = plane_from_frame(frame.layout, index)
        y, x = np.mgrid[: old.shape[0], : old.shape[1]]
        inside = np.zeros(old.shape, np.uint8)
        for face in item.faces:
            matrix = compose(face.enhanced.crop_from_frame, invert(plane))
            points = apply(matrix, np.stack([x, y], -1).reshape(-1, 2))
            u, v = ((points + 0.5) / face.enhanced.size).T.reshape(2, *old.shape)
            # The mask as its documentation has it: an ellipse within the crop.
            inside |= (((u - 0.5) / 0.37) ** 2 + ((v - 0.56) / 0.43) ** 2 < 1).astype(np.uint8)
        # Kernels reach two samples further.
        inside = cv2.dilate(inside, np.ones((7, 7), np.uint8)) > 0
        assert 0.05 < inside.mean() < 0.8
        assert np.array_equal(old[~inside], new[~inside])
        assert (old[inside] != new[inside]).mean() > 0.3


def test_something_is_changed_where_the_network_says_so():
    frame = flat_frame("yuv420p", 100, 100, (0.5, 0.5, 0.5))
    item = through_identity(tracked(frame, make_face(50, 50, 60)), detail=0.0)
    (face,) = item.faces
    redder = face.enhanced.image + np.array([0.2, 0, 0], np.float32)[:, None, None]
    face = replace(face, enhanced=Crop(redder, face.enhanced.crop_from_frame))
    (done,) = Paster(NUMPY).push(replace(item, faces=(face,)))
    y, cb, cr = (int(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in done.components)
    y0, cb0, cr0 = (int(plane[0, 0]) for plane in frame.components)
    assert (y - y0, cb - cb0, cr - cr0) == pytest.approx(
        (0.2 * 0.2126 * 219, -0.2 * 0.2126 / 1.8556 * 224, 0.1 * 224), abs=1
    )
    assert done.edited


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("by", ["strength", "presence"])
def test_strength_and_presence_scale_the_change(by, share, rng):
    frame = make_frame("yuv444p16", 80, 80, rng)
    item = invented(tracked(frame, make_face(40, 40, 60)), rng, amount=0.05)
    (full,) = Paster(NUMPY).push(item)
    if by == "presence":
        item = replace(item, faces=tuple(replace(f, presence=share) for f in item.faces))
    (part,) = Paster(NUMPY, share if by == "strength" else 1.0).push(item)
    for plane, some, whole in zip(frame.components, part.components, full.components, strict=True):
        inner = (whole > 0) & (whole < 65535)
        change = whole.astype(int) - plane
        assert np.abs(some - plane.astype(int) - share * change)[inner].max() <= 1.01


@pytest.mark.parametrize("case", ["strength", "presence", "skipped", "not enhanced", "no face"])
def test_an_unchanged_frame_is_the_same_object(case, rng):
    frame = make_frame("yuv420p", 80, 80, rng)
    item = invented(tracked(frame, make_face(40, 40, 60)), rng)
    changes = {
        "presence": {"presence": 0.0},
        "skipped": {"skipped": "too small"},
        "not enhanced": {"enhanced": None},
    }.get(case, {})
    faces = tuple(replace(face, **changes) for face in item.faces)
    item = replace(item, faces=() if case == "no face" else faces)
    (done,) = Paster(NUMPY, 0.0 if case == "strength" else 1.0).push(item)
    assert done is frame
    assert not done.edited


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10", "rgb24"])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_source_frame_is_never_written_to(name, scale, rng):
    frame = make_frame(name, 80, 80, rng)
    before = [plane.copy() for plane in frame.components]
    item = invented(tracked(frame, make_face(40, 40, 60)), rng)
    pictures = [face.enhanced.image.copy() for face in item.faces]
    (done,) = Paster(NUMPY, scale=scale).push(item)
    assert not frame.edited
    for old, kept, new in zip(before, frame.components, done.components, strict=True):
        assert np.array_equal(old, kept)
        assert not np.shares_memory(kept, new)
    for face, picture in zip(item.faces, pictures, strict=True):
        assert np.array_equal(face.enhanced.image, picture)


def test_a_temporary_frame_is_changed_in_place_with_the_same_result(rng):
    frame = make_frame("rgb24", 80, 80, rng)
    item = invented(tracked(frame, make_face(40, 40, 60)), rng)
    (kept,) = Paster(NUMPY).push(item)
    writable = tuple(plane.copy() for plane in frame.components)
    temporary = replace(frame, components=writable, is_temporary=True)
    (done,) = Paster(NUMPY).push(replace(item, frame=temporary))
    assert same_planes(kept, done)
    assert all(map(np.shares_memory, writable, done.components))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("name", ["gray", "yuv420p", "yuv420p-jpeg", "yuv420p10"])
def test_the_change_lands_in_the_same_place_at_every_scale(name, scale):
    """The centre of a bump's change agrees with the sample positions of every plane."""
    layout = replace(LAYOUTS[name], bits=16)
    frame = frame_of(layout, *(np.full(s, 30000) for s in plane_shapes(layout, 80, 90)))
    item = through_identity(tracked(frame, make_face(41.3, 44.8, 64)), detail=0.0)
    (face,) = item.faces
    size = face.enhanced.size
    y, x = np.mgrid[:size, :size]
    at = apply(face.enhanced.crop_from_frame, [[41.3, 47.1]])[0]
    bump = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (size / 12) ** 2)
    new = face.enhanced.image + (bump * np.array([0.2, -0.1, 0.05])[:, None, None])
    face = replace(face, enhanced=Crop(new.astype(np.float32), face.enhanced.crop_from_frame))
    (done,) = Paster(NUMPY, scale=scale).push(replace(item, faces=(face,)))
    wanted = apply(resize_matrix(scale), [[41.3, 47.1]])
    for index, (old, new) in enumerate(
        zip(enlarge(frame, scale).components, done.components, strict=True)
    ):
        change = np.abs(new.astype(float) - old)
        y, x = np.mgrid[: old.shape[0], : old.shape[1]]
        centre = (change * x).sum() / change.sum(), (change * y).sum() / change.sum()
        expected = apply(plane_from_frame(layout, index), wanted)[0]
        assert centre == pytest.approx(expected, abs=0.1 * max(1, scale / 2)), index


def test_detail_decides_whether_what_lies_beyond_the_band_is_replaced(rng):
    """The frame has a texture finer than the crop, which the network cannot see."""
    texture = cv2.GaussianBlur(rng.normal(0, 1, (128, 128)), (0, 0), 1.0)
    frame = frame_of("gray", 128 + 20 * texture / texture.std())
    face = make_face(64, 64, 120)
    small = np.full((3, 32, 32), 128 / 255, np.float32)
    place = crop_from_frame(face.landmarks, 32)
    large = compose(resize_matrix(4), place)
    face = replace(
        face,
        crop=Crop(small, place),
        consistent=Crop(small, place),
        enhanced=Crop(np.full((3, 128, 128), 128 / 255, np.float32), large),
    )
    middle = np.s_[54:84, 54:74]
    left = []
    for detail in (0.0, 0.5, 1.0):
        (done,) = Paster(NUMPY).push(tracked(frame, replace(face, detail=detail)))
        left.append(float(done.components[0][middle].std()))
    assert left[0] == pytest.approx(frame.components[0][middle].std())
    assert left[1] == pytest.approx(left[0] / 2, rel=0.15)
    assert left[2] < 0.15 * left[0]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [40, 160])
def test_where_all_detail_is_replaced_the_face_is_the_enhanced_picture(name, width, rng):
    """The picture is a smooth function, which every sample of every plane must show."""
    frame = make_frame(name, 200, 220, rng)
    item = through_identity(tracked(frame, make_face(105.2, 98.6, width, 11)), detail=1.0)
    (face,) = item.faces
    size, matrix = face.enhanced.size, face.enhanced.crop_from_frame
    y, x = np.mgrid[:size, :size]
    at = apply(invert(matrix), np.stack([x, y], -1).reshape(-1, 2)).T
    image = shades(*at, width).reshape(size, size, 3).transpose(2, 0, 1)
    new = Crop(np.ascontiguousarray(image, np.float32), matrix)
    (done,) = Paster(NUMPY).push(replace(item, faces=(replace(face, enhanced=new),)))
    for index, plane in enumerate(done.components):
        x, y = positions(frame.layout, index, plane.shape)
        u, v = ((apply(matrix, np.stack([x, y], -1).reshape(-1, 2)) + 0.5) / size).T
        # Where the mask is one, and a sample's filter sees nothing but that.
        core = (((u - 0.5) / 0.37) ** 2 + ((v - 0.56) / 0.43) ** 2 < 0.55**2).reshape(plane.shape)
        wanted = to_codes(shades(x, y, width), frame.layout)[..., index]
        away = np.abs(plane - wanted)[core]
        assert core.sum() > 10
        assert away.max() <= 0.6 + 0.004 * 2**frame.layout.bits


def shades(x, y, width):
    """Return waves as long as the face is wide, different in each colour; (..., 3) in [0, 1]."""
    waves = (np.sin(6 * x / width), np.cos(6 * y / width), np.sin(4 * (x - y) / width))
    return np.stack([0.5 + 0.3 * wave for wave in waves], -1)


def brighter(item, by):
    """Return the item with brighter enhanced faces."""
    new = (Crop(f.enhanced.image + np.float32(by), f.enhanced.crop_from_frame) for f in item.faces)
    return replace(
        item, faces=tuple(replace(f, enhanced=e) for f, e in zip(item.faces, new, strict=True))
    )


@pytest.mark.parametrize(("name", "top"), [("yuv420p10", 1023), ("gray", 255), ("gbrp16", 65535)])
def test_codes_stay_in_their_range(name, top):
    layout = LAYOUTS[name]
    for start, by in ((top, 0.9), (0, -0.9)):
        frame = frame_of(layout, *(np.full(s, start) for s in plane_shapes(layout, 80, 80)))
        item = through_identity(tracked(frame, make_face(40, 40, 60)), detail=0.0)
        (done,) = Paster(NUMPY).push(brighter(item, by))
        assert (done.components[0] == start).all()


@pytest.mark.parametrize("place", [(500.0, 40.0), (-500.0, 40.0), (40.0, 500.0), (1e6, 1e6)])
def test_a_face_beyond_the_frame_changes_nothing(place, rng):
    frame = make_frame("yuv420p", 80, 80, rng)
    item = through_identity(tracked(frame, make_face(*place, 60)), detail=0.0)
    (done,) = Paster(NUMPY).push(brighter(item, 0.3))
    assert same_planes(done, frame)


@pytest.mark.parametrize("name", ["yuv420p", "yuv411p", "rgb24", "gray"])
@pytest.mark.parametrize("place", [(3.0, 4.0), (77.0, 4.0), (3.0, 76.0), (77.0, 76.0)])
def test_a_face_over_the_edge_is_changed_as_far_as_it_shows(name, place):
    """The change equals that in a larger frame, of which this is a part."""
    layout = LAYOUTS[name]
    done = []
    for side, shift in ((80, 0), (240, 80)):
        frame = frame_of(layout, *(np.full(s, 100) for s in plane_shapes(layout, side, side)))
        face = make_face(place[0] + shift, place[1] + shift, 60)
        item = through_identity(tracked(frame, face), detail=0.0)
        done += Paster(NUMPY).push(brighter(item, 0.2))
    for part, whole in zip(*(frame.components for frame in done), strict=True):
        rows, columns = (slice(side // 3, side * 2 // 3) for side in whole.shape)
        assert np.abs(part.astype(int) - whole[rows, columns]).max() <= 1
    assert (done[0].components[0] > 120).any()


def test_overlapping_faces_are_both_pasted():
    frame = flat_frame("gray", 80, 120, (0.5, 0.5, 0.5))
    faces = (make_face(45, 40, 60, track=0), make_face(75, 40, 60, track=1))
    item = through_identity(tracked(frame, *faces), detail=0.0)
    brighter = tuple(
        replace(f, enhanced=Crop(f.enhanced.image + np.float32(0.1), f.enhanced.crop_from_frame))
        for f in item.faces
    )
    (done,) = Paster(NUMPY).push(replace(item, faces=brighter))
    change = done.components[0].astype(int) - frame.components[0]
    assert change[43, 35] == pytest.approx(26, abs=1)
    assert change[43, 85] == pytest.approx(26, abs=1)


def test_times_and_layout_are_kept(rng):
    frame = make_frame("yuv420p", 80, 80, rng, pts=-7, rotation=270, native="opaque")
    item = invented(tracked(frame, make_face(40, 40, 60)), rng)
    (done,) = Paster(NUMPY).push(item)
    assert replace(done, components=frame.components, edited=False, changed=()) == frame


@pytest.mark.parametrize("size", [128, 256, 512])
def test_the_mask_is_soft_and_zero_at_the_edges(size):
    mask = face_mask(size)
    assert mask.shape == (size, size)
    assert mask.min() == 0
    assert mask.max() == 1
    for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert not edge.any()
    assert np.allclose(mask, mask[:, ::-1], atol=1e-6)
    assert np.abs(np.diff(mask, axis=0)).max() < 20 / size
    assert mask[int(0.6 * size), size // 2] == 1


def test_paste_holds_nothing_back():
    paster = Paster(NUMPY)
    assert paster.lookahead == 0
    assert paster.flush() == []
    paster.reset()


def change_of(own, added, detail):
    """Return the change in the middle of a face for additions to the frame and to the result.

    Args: own, added: (128, 128) in codes of 16 bits.
    """
    layout = LAYOUTS["yuv444p16"]
    layout = replace(layout, name="gray16le", family="gray", full_range=True)
    frame = frame_of(layout, 30000 + own)
    face = make_face(63.5, 63.5, 128)
    place = crop_from_frame(face.landmarks, 32)
    flat = np.full((3, 32, 32), 30000 / 65535, np.float32)
    large = np.repeat(((30000 + added) / 65535).astype(np.float32)[None], 3, 0)
    face = replace(
        face,
        crop=Crop(flat, place),
        enhanced=Crop(large, compose(resize_matrix(4), place)),
        detail=detail,
    )
    (done,) = Paster(NUMPY).push(tracked(frame, face))
    return (done.components[0].astype(float) - frame.components[0])[MIDDLE]


MIDDLE = np.s_[54:84, 54:74]
"""Where the mask is one."""


@pytest.fixture
def waves(rng):
    """Return two different pictures of detail, (128, 128)."""
    return rng.normal(0, 1000, (2, 128, 128)).round()


def test_detail_that_the_frame_has_already_is_not_added_again(waves):
    detail, _ = waves
    assert np.abs(change_of(detail, detail, 0.0)).max() <= 1


def test_detail_that_the_frame_lacks_is_added(waves):
    detail, _ = waves
    np.testing.assert_allclose(change_of(0 * detail, detail, 0.0), detail[MIDDLE], atol=1)


@pytest.mark.parametrize(("own", "added"), [(0.25, 1.0), (0.45, 1.0), (0.75, 0.5), (1.5, 0.0)])
def test_detail_that_the_frame_has_a_part_of_is_added_until_it_has_most(waves, own, added):
    detail, _ = waves
    change = change_of(own * detail, detail, 0.0)
    share = float((change * detail[MIDDLE]).sum() / np.square(detail[MIDDLE]).sum())
    assert share == pytest.approx(added, abs=0.03)


def test_unlike_detail_does_not_hinder(waves):
    detail, other = waves
    change = change_of(other, detail, 0.0)
    assert np.corrcoef(change.ravel(), detail[MIDDLE].ravel())[0, 1] > 0.9
    assert change.std() > 0.7 * detail[MIDDLE].std()


def test_noise_is_replaced(waves):
    detail, noise = waves
    np.testing.assert_allclose(change_of(noise, detail, 1.0), (detail - noise)[MIDDLE], atol=1)
