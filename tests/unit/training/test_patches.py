import cv2
import numpy as np
import pytest

from crsr_video.errors import TrainingError
from crsr_video.training.data import Faces
from crsr_video.training.draws import DrawSource
from crsr_video.training.pack import Pack
from crsr_video.training.prepare import PATCH_SIDE, prepare_patches
from crsr_video.training.super_resolution import BackgroundTraining


def write(path, height, width, rng):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_pictures_give_patches_at_two_sizes(tmp_path, rng) -> None:
    write(tmp_path / "in" / "large.png", 600, 700, rng)
    write(tmp_path / "in" / "wide.png", 256, 300, rng)
    write(tmp_path / "in" / "small.png", 200, 300, rng)
    cv2.imwrite(str(tmp_path / "in" / "flat.png"), np.full((300, 300, 3), 90, np.uint8))
    counts = prepare_patches(tmp_path / "in", tmp_path / "out.pack", quality=101)
    assert counts["skipped"] == 2
    entries = Pack(tmp_path / "out.pack").pictures
    files = [entry.file for entry in entries]
    # Six of its own size, four of half of it, and two that overlap.
    assert (files.count("large.png"), files.count("wide.png")) == (6 + 4, 2)
    assert {entry.size for entry in entries} == {PATCH_SIDE}


def test_a_folder_without_patches_is_an_error(tmp_path, rng) -> None:
    write(tmp_path / "in" / "small.png", 200, 300, rng)
    with pytest.raises(TrainingError, match="no usable picture"):
        prepare_patches(tmp_path / "in", tmp_path / "out.pack")
    assert not (tmp_path / "out.pack").exists()


def test_patches_serve_every_factor(tmp_path, rng) -> None:
    write(tmp_path / "in" / "a.png", 400, 400, rng)
    prepare_patches(tmp_path / "in", tmp_path / "out.pack")
    split = Pack(tmp_path / "out.pack").pictures[0].split
    settings = BackgroundTraining().draw_settings
    source = DrawSource(Faces(tmp_path / "out.pack", split), None, settings, seed=0)
    factors = set()
    for step in range(8):
        draw = source.at(step)
        assert draw.degraded is not None
        assert draw.artificial.shape == draw.degraded.shape == (16, 3, 64, 64)
        factors.add(draw.target.shape[-1] // 64)
    assert factors == {1, 2, 4}
