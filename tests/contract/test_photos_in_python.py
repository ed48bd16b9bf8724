"""Still pictures in Python: arrays, images and paths."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import crsr_video
from crsr_video.errors import ConfigError, InputError
from tests.support.paths import PORTRAIT
from tests.support.photos import PROFILE, assert_only_the_face_changed, opened

pytestmark = pytest.mark.usefixtures("face_models")


@pytest.fixture(scope="module")
def enhancer() -> crsr_video.Enhancer:
    return crsr_video.Enhancer(precision="fp32")


# Python ------------------------------------------------------------------------------------------


def test_an_array_an_image_and_a_path_come_back_as_their_kind(
    portrait: NDArray[np.uint8], tmp_path: Path, enhancer: crsr_video.Enhancer
) -> None:
    copy = portrait.copy()
    array = enhancer.enhance_image(portrait)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(portrait, copy)
    assert_only_the_face_changed(portrait.astype(np.int64), array.astype(np.int64))
    image = Image.fromarray(portrait)
    image.info["icc_profile"] = PROFILE
    result = enhancer.enhance_image(image)
    assert result.mode == "RGB"
    assert result.info["icc_profile"] == PROFILE
    np.testing.assert_array_equal(np.asarray(result), array)
    image.save(tmp_path / "photo.png")
    path = crsr_video.enhance_image(tmp_path / "photo.png", tmp_path / "b.png", precision="fp32")
    assert path == tmp_path / "b.png"
    np.testing.assert_array_equal(np.asarray(opened(path)), array)


def test_one_picture_after_another_is_enhanced_on_its_own(
    portrait: NDArray[np.uint8], enhancer: crsr_video.Enhancer
) -> None:
    first = enhancer.enhance_image(portrait)
    enhancer.enhance_image(np.zeros((64, 64), np.uint8))
    np.testing.assert_array_equal(enhancer.enhance_image(portrait), first)


def test_deep_gray_and_transparent_arrays_keep_shape_and_type(
    portrait: NDArray[np.uint8], enhancer: crsr_video.Enhancer
) -> None:
    deep = portrait.astype(np.uint16) * 257
    assert_only_the_face_changed(deep.astype(int), enhancer.enhance_image(deep).astype(int))
    gray = np.ascontiguousarray(portrait[..., 1])
    assert_only_the_face_changed(gray.astype(int), enhancer.enhance_image(gray).astype(int))
    alpha = np.full(gray.shape, 9, np.uint8)
    result = enhancer.enhance_image(np.dstack([portrait, alpha]))
    assert np.all(result[..., 3] == 9)


def test_settings_are_given_by_name_and_checked(portrait: NDArray[np.uint8]) -> None:
    with crsr_video.Enhancer(strength=0.0, model="identity") as enhancer:
        np.testing.assert_array_equal(enhancer.enhance_image(portrait), portrait)
    with pytest.raises(ConfigError, match="`strength` must lie"):
        crsr_video.Enhancer(strength=2)
    with pytest.raises(ConfigError, match="unknown setting 'strenght'"):
        crsr_video.enhance_image(portrait, strenght=1)  # codespell:ignore


def test_a_single_picture_given_as_frames_is_refused_at_once(
    portrait: NDArray[np.uint8], enhancer: crsr_video.Enhancer
) -> None:
    with pytest.raises(ValueError, match="enhance_image"):
        enhancer.enhance(portrait)
    with pytest.raises(ValueError, match="enhance_image"):
        enhancer.enhance(Image.fromarray(portrait))


def test_wrong_pictures_are_refused(
    portrait: NDArray[np.uint8], tmp_path: Path, enhancer: crsr_video.Enhancer
) -> None:
    for wrong in (
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
    ):
        with pytest.raises(ValueError, match="picture"):
            enhancer.enhance_image(wrong)
    with pytest.raises(ValueError, match="not list"):
        enhancer.enhance_image([1])
    enhancer.push(portrait)
    with pytest.raises(ValueError, match="inside a video"):
        enhancer.enhance_image(portrait)
    enhancer.reset()
    with pytest.raises(InputError, match="use `enhance` for videos"):
        crsr_video.enhance_image(PORTRAIT)
    with pytest.raises(InputError, match="no such file"):
        crsr_video.enhance_image(tmp_path / "none.jpg")
