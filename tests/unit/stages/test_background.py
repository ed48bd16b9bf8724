"""The background stage: tiles, bit depths, places of chroma, and faces that stay as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.imaging.colour import delta_to_codes
from crsr_video.imaging.masks import mask, patch
from crsr_video.imaging.upscaling import enlarge
from crsr_video.networks import BackgroundNetwork
from crsr_video.runtime.loading import BackgroundPredictor
from crsr_video.runtime.placement import Placement
from crsr_video.stages.background import Background
from crsr_video.types import Frame
from tests.support.frames import ALL, LAYOUTS, make_frame, positions, same_planes

PLACEMENT = Placement(torch.device("cpu"), torch.float32, "for tests")


def network(strength: float = 0.3) -> BackgroundPredictor:
    """A small network with random weights; with strength 0, it changes nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = BackgroundNetwork(channels=8, middle=3, width=4)
        for head in made.heads:
            torch.nn.init.normal_(head.weight, std=strength)
        for block in made.trunk:
            torch.nn.init.normal_(block.second.weight, std=0.1)
    return BackgroundPredictor(made, PLACEMENT)


class Ramp:
    """Stands in for the network: the same change in every row, growing from left to right."""

    reach = 8

    def __init__(self, start: float) -> None:
        self._start = start

    def __call__(self, picture: np.ndarray, scale: int) -> np.ndarray:
        height, width = picture.shape[:2]
        x = np.arange(width * scale, dtype=np.float32)
        rgb = np.array([0.1, -0.1, 0.05], np.float32)
        row = (self._start + x / 500)[:, None] * rgb
        return np.repeat(row[None], height * scale, 0)


@pytest.mark.parametrize("name", ["yuv420p", "yuv411p", "yuv420p10", "gbrp16"])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_tiles_give_the_result_of_the_whole_frame(name, scale, rng):
    frame = make_frame(name, 75, 101, rng)
    large = enlarge(frame, scale, "cubic")
    whole = Background(network()).treat(frame, large)
    tiled = Background(network(), tile=32).treat(frame, large)
    for a, b, old in zip(whole.components, tiled.components, large.components, strict=True):
        difference = np.abs(a.astype(int) - b)
        # Convolutions round differently for other shapes, which may move a sample by one code.
        assert (difference > 1).sum() == 0
        assert (difference > 0).mean() < (0.05 if name == "gbrp16" else 0.001)
        assert (a != old).mean() > 0.3


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1, 2])
def test_a_network_without_output_changes_no_bit(name, scale, rng):
    frame = make_frame(name, 41, 53, rng)
    large = enlarge(frame, scale, "cubic")
    assert same_planes(Background(network(0), tile=16).treat(frame, large), large)


@pytest.mark.parametrize("name", ["yuv420p10", "yuv422p12", "yuv444p16"])
def test_the_change_uses_the_lowest_bits_of_the_format(name, rng):
    frame = make_frame(name, 40, 56, rng)
    done = Background(network(0.02)).treat(frame, frame)
    change = done.components[0].astype(int) - frame.components[0]
    assert (change % 2).any()
    assert (change % 4 != 0).mean() > 0.5
    assert done.layout == frame.layout
    assert max(plane.max() for plane in done.components) < 2**frame.layout.bits


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1, 2])
def test_the_change_lies_where_the_samples_lie(name, scale, rng):
    frame = make_frame(name, 24, 36, rng)
    planes = tuple(np.full_like(p, 2 ** (frame.layout.bits - 1)) for p in frame.components)
    large = enlarge(frame.with_components(planes), scale, "cubic")
    done = Background(Ramp(0.3)).treat(frame, large)
    colour = np.array([0.1, -0.1, 0.05], np.float32)
    for index, (new, old) in enumerate(zip(done.components, large.components, strict=True)):
        x, _ = positions(frame.layout, index, old.shape)
        codes = delta_to_codes(colour, LAYOUTS[name])[index]
        error = new - old.astype(float) - (0.3 + x / 500) * codes
        assert np.abs(error[:, 2:-2]).max() < 0.51 + 0.001 * abs(codes)


def test_faces_stay_as_they_were_pasted(rng):
    frame = make_frame("yuv444p", 80, 100, rng)
    crop_from_frame = np.array([[1.0, 0.0, -18.0], [0.0, 1.0, -8.0]])
    pasted = replace(frame, changed=(patch(1, frame, crop_from_frame, 64),))
    done = Background(Ramp(0.3)).treat(frame, pasted)
    inside = mask(pasted) == 1
    assert inside.sum() > 300
    for new, old in zip(done.components, frame.components, strict=True):
        assert np.array_equal(new[inside], old[inside])
        outside = mask(pasted) == 0
        assert (new[outside] != old[outside]).mean() > 0.5
    assert done.changed == pasted.changed


class Nothing:
    """Stands in for the network, and changes nothing."""

    reach = 8

    def __call__(self, picture: np.ndarray, scale: int) -> np.ndarray:
        height, width = picture.shape[:2]
        return np.zeros((height * scale, width * scale, 3), np.float32)


def noisy(rng: np.random.Generator, left: int = 0) -> Frame:
    """Return a frame of a square with noise, whose left edge is at this column."""
    frame = make_frame("yuv444p", 64, 96, rng)
    luma = np.full((64, 96), 90.0)
    luma[16:48, left + 10 : left + 42] = 160
    noise = rng.normal(0, 1.5, (3, 64, 96))
    planes = (luma + noise[0], 128 + noise[1], 128 + noise[2])
    return frame.with_components(tuple(np.rint(plane).astype(np.uint8) for plane in planes))


@pytest.mark.parametrize("scale", [1, 2])
def test_noise_of_a_still_picture_flickers_less(scale, rng):
    frames = [noisy(rng) for _ in range(8)]
    large = [enlarge(frame, scale, "cubic").components[0].astype(float) for frame in frames]
    background = Background(Nothing())
    done = [
        background.treat(frame, enlarge(frame, scale, "cubic")).components[0].astype(float)
        for frame in frames
    ]
    before, after = (np.abs(np.diff(np.stack(series), axis=0)).mean() for series in (large, done))
    assert after < 0.8 * before


def test_a_moving_edge_leaves_no_trace(rng):
    background = Background(Nothing())
    for left in (0, 8, 16, 24):
        frame = noisy(rng, left)
        done = background.treat(frame, frame).components[0].astype(int)
        assert np.abs(done - frame.components[0])[:, left : left + 10].max() <= 5


def test_frames_after_a_reset_do_not_depend_on_those_before(rng):
    first, second = noisy(rng), noisy(rng)
    background = Background(Nothing())
    background.treat(first, first)
    assert not same_planes(background.treat(second, second), second)
    background.reset()
    assert same_planes(background.treat(second, second), second)
