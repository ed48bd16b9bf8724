import numpy as np
import pytest

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging import geometry
from crsr_video.imaging.geometry import (
    TEMPLATE,
    apply,
    bounds,
    canonical_landmarks,
    chroma_matrix,
    compose,
    crop_from_frame,
    crop_side,
    invert,
    resize_matrix,
    scale_of,
    similarity,
)
from tests.support.frames import landmarks_at


def random_similarity(rng):
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 10)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    x, y = rng.uniform(-100, 100, 2)
    return np.array([[c, -s, x], [s, c, y]])


@pytest.mark.parametrize("factor", [0.25, 1, 1.5, 4])
def test_resizing_keeps_both_edges_in_place(factor):
    width = 40
    matrix = resize_matrix(factor)
    edges = apply(matrix, [[-0.5, -0.5], [width - 0.5, width - 0.5]])
    assert edges == pytest.approx(np.array([[-0.5] * 2, [width * factor - 0.5] * 2]), abs=1e-12)


def test_resizing_by_two_puts_a_pixel_in_the_middle_of_its_four():
    assert apply(resize_matrix(2), [[3, 5]]) == pytest.approx(np.array([[6.5, 10.5]]))


def test_resizing_by_different_factors():
    moved = apply(resize_matrix(2, 4), [[-0.5, -0.5], [0, 0]])
    assert moved == pytest.approx(np.array([[-0.5, -0.5], [0.5, 1.5]]))


def test_resizing_there_and_back_is_nothing():
    there_and_back = compose(resize_matrix(1 / 3, 1 / 7), resize_matrix(3, 7))
    assert there_and_back == pytest.approx(np.eye(2, 3), abs=1e-12)
    assert invert(resize_matrix(3, 7)) == pytest.approx(resize_matrix(1 / 3, 1 / 7))


def test_compose_applies_the_inner_transform_first(rng):
    outer, inner = rng.normal(size=(2, 2, 3))
    points = rng.normal(size=(9, 2))
    assert apply(compose(outer, inner), points) == pytest.approx(apply(outer, apply(inner, points)))


def test_an_inverse_reverses_its_transform(rng):
    matrix = rng.normal(size=(2, 3))
    points = rng.normal(size=(9, 2))
    assert apply(invert(matrix), apply(matrix, points)) == pytest.approx(points)


@pytest.mark.parametrize("linear", [np.zeros((2, 2)), np.ones((2, 2)), [[2, 4], [1, 2]]])
def test_singular_transforms_have_no_inverse(linear):
    with pytest.raises(DegenerateFaceError):
        invert(np.hstack([linear, [[1.0], [2.0]]]))


@pytest.mark.parametrize(
    ("x_shift", "y_shift", "x_cosited", "y_cosited", "first"),
    # Where chroma sample (0, 0) lies among luma samples.
    [
        (1, 1, True, False, (0, 0.5)),  # MPEG-2, H.264
        (1, 1, False, False, (0.5, 0.5)),  # JPEG, MPEG-1
        (1, 1, True, True, (0, 0)),  # BT.2020
        (1, 0, True, False, (0, 0)),  # 4:2:2
        (1, 0, False, False, (0.5, 0)),
        (2, 0, True, False, (0, 0)),  # 4:1:1
        (2, 0, False, False, (1.5, 0)),
        (2, 2, False, False, (1.5, 1.5)),  # 4:1:0
        (0, 0, False, False, (0, 0)),  # 4:4:4
        (0, 0, True, True, (0, 0)),
    ],
)
def test_chroma_lies_where_its_siting_says(x_shift, y_shift, x_cosited, y_cosited, first):
    luma_from_chroma = invert(chroma_matrix(x_shift, y_shift, x_cosited, y_cosited))
    step = (2**x_shift, 2**y_shift)
    found = apply(luma_from_chroma, [[0, 0], [5, 3]])
    expected = np.array([first, np.add(first, np.multiply(step, (5, 3)))])
    assert found == pytest.approx(expected, abs=1e-12)


def slow_similarity(source, target):
    """Return the least-squares solution [[a, -b, x], [b, a, y]] of a linear system."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    a, b, x, y = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.array([[a, -b, x], [b, a, y]])


def test_similarity_agrees_with_plain_least_squares(rng):
    for _ in range(20):
        source, target = rng.normal(size=(2, 5, 2)) * 50 + 20
        assert similarity(source, target) == pytest.approx(
            slow_similarity(source, target), rel=1e-7, abs=1e-7
        )


def test_similarity_finds_an_exact_transform_again(rng):
    for _ in range(20):
        matrix = random_similarity(rng)
        assert similarity(TEMPLATE, apply(matrix, TEMPLATE)) == pytest.approx(matrix)


def test_similarity_never_mirrors(rng):
    mirrored = TEMPLATE * (-1, 1) + rng.normal(size=TEMPLATE.shape) * 0.01
    assert np.linalg.det(similarity(mirrored, TEMPLATE)[:, :2]) > 0


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 3.0),
        np.full((5, 2), np.nan),
        np.where(np.arange(10).reshape(5, 2) == 3, np.nan, TEMPLATE),
        np.where(np.arange(10).reshape(5, 2) == 3, np.inf, TEMPLATE),
        np.where(np.arange(10).reshape(5, 2) == 3, -np.inf, TEMPLATE),
        TEMPLATE * 1e200,
        np.full((5, 2), 1e6) + TEMPLATE * 1e-9,
    ],
    ids=["coincide", "all-nan", "one-nan", "inf", "minus-inf", "overflow", "almost-coincide"],
)
def test_impossible_landmarks_are_refused(landmarks):
    with pytest.raises(DegenerateFaceError):
        crop_from_frame(landmarks, 64)
    with pytest.raises(DegenerateFaceError):
        crop_side(landmarks)


def test_landmarks_that_no_turn_can_bring_near_the_template_are_refused():
    # A mirrored square about the mean has a correlation of zero with the square itself.
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    with pytest.raises(DegenerateFaceError):
        similarity(square, square[:, ::-1])


def test_canonical_landmarks_scale_about_the_corner_of_the_crop():
    small, large = canonical_landmarks(32), canonical_landmarks(128)
    assert apply(resize_matrix(4), small) == pytest.approx(large)
    assert canonical_landmarks(1) == pytest.approx(TEMPLATE - 0.5)


@pytest.mark.parametrize("degrees", [0, 30, 180, 275])
def test_alignment_brings_a_face_to_its_canonical_place(degrees):
    points = landmarks_at(310, 120, 77, degrees)
    matrix = crop_from_frame(points, 64)
    assert apply(matrix, points) == pytest.approx(canonical_landmarks(64))
    assert scale_of(matrix) == pytest.approx(64 / 77)
    assert crop_side(points) == pytest.approx(77)
    assert apply(matrix, [[310, 120]]) == pytest.approx(np.array([[31.5, 31.5]]))


@pytest.mark.parametrize("aspect", [0.5, 16 / 15, 64 / 45])
@pytest.mark.parametrize("degrees", [0, 37, 90])
def test_alignment_makes_pixels_square(aspect, degrees):
    square = landmarks_at(310, 120, 77, degrees)
    stored = apply(resize_matrix(1 / aspect, 1), square)  # as anamorphic video keeps it
    matrix = crop_from_frame(stored, 64, aspect)
    assert apply(matrix, stored) == pytest.approx(canonical_landmarks(64))
    assert crop_side(stored, aspect) == pytest.approx(77)


def test_turning_a_face_turns_its_crop_the_right_way():
    # A face turned clockwise on the screen (y down): its right eye, at image left, goes up.
    matrix = crop_from_frame(landmarks_at(50, 50, 64, 90), 64)
    top = apply(invert(matrix), [[31.5, -0.5]])[0]
    assert top == pytest.approx((50 + 32, 50))


def test_scale_of_a_similarity_is_its_factor():
    assert scale_of([[0, -3, 9], [3, 0, 9]]) == pytest.approx(3)
    assert scale_of(resize_matrix(2, 8)) == pytest.approx(4)


def test_bounds_hold_the_outer_edges_of_the_pixels():
    assert bounds(np.eye(2, 3), 10) == (-0.5, -0.5, 9.5, 9.5)
    assert bounds(resize_matrix(2), 10) == (-0.5, -0.5, 19.5, 19.5)
    turned = np.array([[0.0, -1, 0], [1, 0, 0]])
    assert bounds(turned, 10) == (-9.5, -0.5, 0.5, 9.5)


def test_template_is_symmetric_and_inside():
    mirrored = TEMPLATE[[1, 0, 2, 4, 3]] * (-1, 1) + (1, 0)
    assert mirrored == pytest.approx(TEMPLATE)
    assert ((TEMPLATE > 0.3) & (TEMPLATE < 0.8)).all()
    # The eyes are nearer than half the face's width, and the crop is that wide by definition.
    assert TEMPLATE[1, 0] - TEMPLATE[0, 0] < 0.6 / geometry.FACE_WIDTHS_PER_CROP
