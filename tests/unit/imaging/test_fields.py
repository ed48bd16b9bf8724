from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from crsr_video.imaging.fields import Weaver, split
from crsr_video.types import Patch
from tests.support.frames import make_face, make_frame, same_planes, tracked

ORDERS = ("top", "bottom")


def interlaced(rng, first, height=40, name="yuv420p"):
    return make_frame(
        name, height, 60, rng, interlaced=first, pts=7, sample_aspect=Fraction(16, 15)
    )


@pytest.mark.parametrize("first", ORDERS)
def test_fields_are_every_other_line_in_order_of_time(rng, first):
    frame = interlaced(rng, first)
    one, two = (item.frame for item in split(tracked(frame)))
    parity = int(first == "bottom")
    for field, start in ((one, parity), (two, 1 - parity)):
        for part, plane in zip(field.components, frame.components, strict=True):
            assert np.array_equal(part, plane[start::2])
        assert (field.interlaced_frame, field.pts, field.sample_aspect) == (
            frame,
            7,
            Fraction(8, 15),
        )
    assert (one.is_second_field, two.is_second_field) == (False, True)


@pytest.mark.parametrize("first", ORDERS)
def test_faces_keep_their_place(rng, first):
    face = make_face(30.5, 21.25, 24)
    items = split(tracked(interlaced(rng, first), face, cut=True))
    assert [item.cut for item in items] == [True, False]
    parities = (0, 1) if first == "top" else (1, 0)
    for item, parity in zip(items, parities, strict=True):
        (moved,) = item.faces
        again = moved.landmarks * (1, 2) + (0, parity)
        assert again == pytest.approx(face.landmarks)
        assert moved.box[0] == face.box[0]
        assert 2 * moved.box[3] + parity == pytest.approx(face.box[3])


@pytest.mark.parametrize(
    ("first", "height"), [("progressive", 40), ("top", 41), ("bottom", 6)], ids=str
)
def test_progressive_and_tiny_frames_are_not_split_into_fields(rng, first, height):
    item = tracked(interlaced(rng, first, height), make_face())
    assert split(item) == (item,)
    assert Weaver().push(item.frame) == [item.frame]


@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("height", [40, 42])
def test_unchanged_fields_give_the_same_object_back(rng, first, height):
    frame = interlaced(rng, first, height)
    weaver = Weaver()
    one, two = (item.frame for item in split(tracked(frame)))
    assert weaver.push(one) == []
    (whole,) = weaver.push(two)
    assert whole is frame


@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("edited", [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("height", [40, 42])
def test_changes_land_on_their_lines(rng, first, edited, height):
    """With 21 rows of chroma, the upper field has one row more than the lower field."""
    frame, weaver, done = interlaced(rng, first, height), Weaver(), []
    for number, item in enumerate(split(tracked(frame))):
        field = item.frame
        if number in edited:
            planes = tuple(np.full_like(plane, 100 + number) for plane in field.components)
            field = field.with_components(planes)
        done += weaver.push(field)
    (whole,) = done
    assert (whole.pts, whole.interlaced_frame, whole.interlaced) == (7, None, first)
    parities = (0, 1) if first == "top" else (1, 0)
    for old, new in zip(frame.components, whole.components, strict=True):
        for number, parity in enumerate(parities):
            rows = new[parity::2]
            assert (rows == 100 + number).all() if number in edited else True
            assert number in edited or np.array_equal(rows, old[parity::2])


def test_patches_are_moved_to_the_frames_lines(rng):
    frame, weaver = interlaced(rng, "top"), Weaver()
    box, matrix = (10, 4, 30, 12), np.array([[0.05, 0, -0.5], [0, 0.125, -0.5]])
    for number, item in enumerate(split(tracked(frame))):
        field = item.frame.with_components(tuple(p.copy() for p in item.frame.components))
        patch = Patch(number, box, matrix, 128, 1.0)
        done = weaver.push(replace(field, changed=(patch,)))
    upper, lower = done[0].changed
    assert (upper.box, lower.box) == ((10, 8, 30, 23), (10, 9, 30, 24))
    # Line 4 of a field is line 8 or 9 of the frame: the same place in the crop.
    for patch, line in ((upper, 8), (lower, 9)):
        assert patch.crop_from_frame @ (10, line, 1) == pytest.approx(matrix @ (10, 4, 1))


def test_reset_forgets_a_lonely_field(rng):
    weaver = Weaver()
    one, _ = split(tracked(interlaced(rng, "top")))
    weaver.push(one.frame)
    weaver.reset()
    frame = interlaced(rng, "top")
    done = [out for item in split(tracked(frame)) for out in weaver.push(item.frame)]
    assert same_planes(done[0], frame)
