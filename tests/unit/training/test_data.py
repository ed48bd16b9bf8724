import numpy as np
import pytest
import torch

from crsr_video.errors import TrainingError
from crsr_video.training.data import (
    TIERS,
    Faces,
    Tier,
    batch,
    choose_tier,
    random_similarity,
    vary_light,
)
from crsr_video.training.prepare import prepare
from tests.unit.training.made_faces import make_folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Faces:
    folder = tmp_path_factory.mktemp("data")
    prepare(make_folder(folder / "faces", {"train": [128, 128, 256]}), folder / "out")
    return Faces(folder / "out", "train")


def test_larger_pictures_serve_smaller_tiers(faces: Faces) -> None:
    assert [faces.count(size) for size in (128, 256, 512)] == [3, 1, 0]
    assert [faces.at(n, 128).shape[0] for n in range(3)] == [128, 128, 256]
    assert faces.at(0, 256).shape[0] == 256
    with pytest.raises(IndexError):
        faces.at(3, 128)
    with pytest.raises(IndexError):
        faces.at(-1, 128)


def test_tiers_without_pictures_are_not_chosen(faces: Faces) -> None:
    rng = np.random.default_rng(0)
    chosen = {choose_tier(faces, rng, TIERS).face for _ in range(50)}
    assert chosen == {32, 64}
    with pytest.raises(TrainingError):
        choose_tier(faces, rng, (Tier(128, 64, 8, 1.0),))


@pytest.mark.parametrize("tier", [Tier(32, 32, 3, 1.0), Tier(64, 32, 2, 1.0)])
def test_batches_depend_on_the_generator_alone(faces: Faces, tier: Tier) -> None:
    first, again, other = (batch(faces, tier, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (tier.batch, 3, 4 * tier.patch, 4 * tier.patch)
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_jitter_stays_small_and_about_the_centre() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        matrix = random_similarity(101, rng)
        vary_place = matrix @ [50, 50, 1] - 50
        scale = np.sqrt(np.linalg.det(matrix[:, :2]))
        assert np.abs(vary_place).max() <= 0.03 * 101 + 1e-9
        assert 0.94 <= scale <= 1.0 / 0.94
        assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) <= 4


def test_recolouring_turns_about_middle_grey() -> None:
    grey = vary_light(torch.full((64, 3, 2, 2), 0.5), np.random.default_rng(0))
    assert (grey - 0.5).abs().max() <= 0.06 + 1e-6
    assert grey.std() > 0.01


def test_a_few_pictures_lose_their_colour_wholly_and_the_others_not_at_all() -> None:
    pictures = torch.rand(1000, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    before = pictures.clone()
    after = vary_light(pictures, np.random.default_rng(0))
    assert torch.equal(pictures, before)
    grey = (after == after[:, :1]).all((1, 2, 3))
    assert 20 < int(grey.sum()) < 65
    assert after[~grey].std(1).mean() > 0.2


def test_a_split_that_is_not_there_is_an_error(tmp_path) -> None:
    prepare(make_folder(tmp_path / "faces", {"train": [128]}), tmp_path / "out")
    with pytest.raises(TrainingError, match="split 'val'"):
        Faces(tmp_path / "out", "val")
    (tmp_path / "out").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="no prepared faces"):
        Faces(tmp_path / "out", "train")
