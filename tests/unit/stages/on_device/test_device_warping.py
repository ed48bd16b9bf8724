import cv2
import numpy as np
import pytest
import torch

from crsr_video.imaging.geometry import DegenerateFaceError, compose
from crsr_video.imaging.warping import warp
from crsr_video.stages.on_device import operators
from crsr_video.stages.on_device.copies import PlainCopies
from crsr_video.stages.on_device.planes import MOST, batches, brought_down, stacked
from crsr_video.stages.on_device.warping import resampled, view
from tests.support.frames import clutter

CPU = torch.device("cpu")
WAYS = PlainCopies(CPU)

EXACT, ROUNDED = 1e-3, 1.2
"""Of 255. Sums in another order; and places that OpenCV before version 5 rounds to 1/32 pixel."""
PLACES = EXACT if int(cv2.__version__.split(".")[0]) >= 5 else ROUNDED


def turned(scale, degrees, x, y, side):
    """A target of `side` pixels that shows the surroundings of (x, y), enlarged by `scale`."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    middle = (side - 1) / 2
    turn = np.array([[c, -s, middle], [s, c, middle]])
    return compose(turn, [[1.0, 0.0, -x], [0.0, 1.0, -y]])


def on_device(pictures, matrices, side):
    """Each (H, W) picture seen under its transform; they may have any sizes."""
    sizes = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    views = [view(size, matrix, side) for size, matrix in zip(sizes, matrices, strict=True)]
    host = np.full((len(pictures), 1, *np.max([p.shape for p in pictures], 0)), 77, np.float32)
    for index, picture in enumerate(pictures):
        host[index, 0, : picture.shape[0], : picture.shape[1]] = picture
    return resampled(torch.from_numpy(host), sizes, views, (side, side), WAYS)[:, 0].numpy()


@pytest.mark.parametrize("scale", [0.11, 0.3, 0.45, 0.5, 0.7, 1.0, 1.9])
def test_pictures_are_resampled_as_on_the_processor(scale, rng):
    shapes = [(150, 210), (97, 60), (31, 33), (1, 1), (2, 300)]
    pictures = [(255 * clutter(shape, rng)).astype(np.float32) for shape in shapes]
    # In the middle, over an edge, and wholly outside.
    matrices = [
        turned(scale, 0, 100, 70, 24),
        turned(scale, 33, 58, 20, 24),
        turned(scale * 1.3, -100, 10, 12, 24),
        turned(scale, 7, 0, 0, 24),
        turned(scale, 180, -400, 900, 24),
    ]
    done = on_device(pictures, matrices, 24)
    for picture, matrix, new in zip(pictures, matrices, done, strict=True):
        assert np.abs(new - warp(picture, matrix, 24, 24)).max() < PLACES


def test_a_picture_is_seen_the_same_in_any_company(rng):
    picture = (255 * clutter((60, 50), rng)).astype(np.float32)
    large = (255 * clutter((200, 180), rng)).astype(np.float32)
    here, there = turned(0.6, 20, 25, 30, 20), turned(0.2, 0, 90, 90, 20)
    (alone,) = on_device([picture], [here], 20)
    assert np.abs(on_device([large, picture], [there, here], 20)[1] - alone).max() < EXACT


def test_a_picture_seen_as_it_is_stays_as_it_is(rng):
    picture = (65535 * clutter((40, 40), rng)).astype(np.float32)
    (done,) = on_device([picture], [np.eye(2, 3)], 40)
    assert np.abs(done - picture).max() < 0.2


def test_a_shift_of_a_tenth_of_a_pixel_is_seen():
    # This cubic kernel bends a ramp of 3 by a tenth.
    y, x = np.mgrid[:40, :40].astype(np.float32)
    moved = turned(1.0, 0, 19.6, 19.5, 20)
    (done,) = on_device([3 * x + y], [moved], 20)
    assert np.allclose(done[5:15, 5:15], (3 * x + y)[15:25, 15:25] + 0.3, atol=0.15)


def test_a_singular_transform_is_refused():
    with pytest.raises(DegenerateFaceError):
        view((10, 10), np.zeros((2, 3)), 8)


@pytest.mark.parametrize("size", [1, 3, 8, 33])
def test_operators_are_opencv_s(size, rng):
    picture = rng.random((size, size), np.float32)
    tensor = torch.from_numpy(picture)

    def same(operator, expected):
        return np.abs(operators.both(operator, tensor).numpy() - expected).max() < 1e-5

    large, replicate = (4 * size, 4 * size), cv2.BORDER_REPLICATE
    assert same(operators.cubic(size, 4 * size, CPU), cv2.resize(picture, large, None, 0, 0, 2))
    assert same(operators.linear(size, 4 * size, CPU), cv2.resize(picture, large, None, 0, 0, 1))
    small = max(1, size // 2)
    area = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    assert same(operators.area(size, small, CPU), area)
    assert same(operators.gaussian(size, 1.3, CPU), cv2.GaussianBlur(picture, (0, 0), 1.3))
    blurred = cv2.blur(picture, (3, 3), borderType=replicate)
    assert same(operators.box(size, CPU), blurred)


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_codes_go_up_and_come_down_unchanged(bits, rng):
    kind = np.uint8 if bits == 8 else np.uint16
    planes = [rng.integers(0, 2**bits, shape).astype(kind) for shape in ((9, 14), (12, 5))]
    up = stacked([[plane] for plane in planes], WAYS)
    assert up.dtype == torch.float32
    down = brought_down(up, bits, bits > 8, WAYS)()
    for plane, there, back in zip(planes, up, down, strict=True):
        height, width = plane.shape
        assert np.array_equal(there[0, :height, :width].numpy(), plane)
        assert np.array_equal(back[0, :height, :width], plane)
        assert back.dtype == kind


def test_codes_are_rounded_once_and_clipped_to_their_depth():
    values = torch.tensor([[[[-3.0, 0.49, 0.51, 1022.6, 1500.0]]]])
    assert brought_down(values, 10, True, WAYS)().ravel().tolist() == [0, 0, 1, 1023, 1023]


def test_pictures_of_a_kind_go_together_and_large_ones_in_small_batches():
    sides = [100, 60, 120, 4000, 3000, 64, 65]
    parts = batches(sides)
    assert sorted(i for part in parts for i in part) == list(range(7))
    assert all(max(sides[i] for i in p) <= 2 * min(sides[i] for i in p) for p in parts)
    assert [3] in parts
    assert [4] in parts
    assert max(map(len, batches([200] * 50))) == MOST
