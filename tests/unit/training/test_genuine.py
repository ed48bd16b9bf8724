from dataclasses import replace

import numpy as np
import pytest
import torch

from crsr_video.errors import TrainingError
from crsr_video.training.data import resized
from crsr_video.training.genuine import Framing, Genuine, framed
from crsr_video.training.pack import LOSSLESS, Prepared, encode, new_pack
from tests.unit.training.made_faces import picture

ENTRY = Prepared("a.mp4", "train", "genuine", "a/1", 24, 0, "0" * 64)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("genuine") / "faces.pack"
    with new_pack(path, {}) as writer:
        for row, (side, split) in enumerate(
            [(16, "train"), (24, "train"), (32, "val"), (48, "train"), (52, "train")]
        ):
            entry = replace(ENTRY, size=side, row=row, split=split)
            writer.add(entry, encode(picture(side, row), LOSSLESS))
    return path


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    faces = np.arange(40 * 16 * 16 * 3, dtype=np.uint32).reshape(40, 16, 16, 3) // 768
    path = tmp_path_factory.mktemp("array") / "some.npz"
    np.savez(path, faces=(faces * 6).astype(np.uint8))
    return path


def test_faces_of_about_the_size_serve(pack) -> None:
    assert [Genuine(pack, "train").count(size) for size in (16, 32, 64, 128)] == [2, 2, 2, 0]
    assert Genuine(pack).count(32) == 3 and Genuine(pack, "val").count(32) == 1
    with pytest.raises(TrainingError, match="about 128"):
        Genuine(pack).batch(128, 2, np.random.default_rng(0))
    with pytest.raises(TrainingError, match="about 8 "):
        list(Genuine(pack).all(8))


def test_a_batch_shows_faces_of_the_pack_and_their_mirror_images(pack) -> None:
    faces = Genuine(pack, "val").batch(32, 24, np.random.default_rng(1))
    assert faces.shape == (24, 3, 32, 32) and faces.dtype == torch.float32
    own = torch.from_numpy(picture(32, 2).copy()).permute(2, 0, 1).float() / 255
    as_is = sum(torch.equal(face, own) for face in faces)
    mirrored = sum(torch.equal(face, own.flip(2)) for face in faces)
    assert as_is + mirrored == 24 and 4 < as_is < 20


def test_batches_depend_on_the_generator_alone(pack) -> None:
    faces = Genuine(pack)
    first, again, other = (faces.batch(32, 6, np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_resampling_keeps_mean_and_place() -> None:
    image = picture(48, 0)
    for size in (32, 64):
        other = resized(image, size)
        assert other.shape == (size, size, 3)
        np.testing.assert_allclose(other.mean((0, 1)), image.mean((0, 1)), atol=1)
        assert abs(int(other[0, 0, 0]) - int(image[0, 0, 0])) < 12


def test_every_tenth_of_an_array_is_for_validation(array) -> None:
    val = [int(face[0, 0, 0]) for face in Genuine(array, "val").all(16)]
    train = [int(face[0, 0, 0]) for face in Genuine(array, "train").all(16)]
    assert val == [6 * n for n in (9, 19, 29, 39)]
    assert len(train) == 36 and not set(train) & set(val)
    assert Genuine(array).count(16) == 40


def test_a_limit_spreads_over_all(array) -> None:
    faces = Genuine(array)
    some = [int(face[0, 0, 0]) // 6 for face in faces.all(16, limit=4)]
    assert some == [0, 13, 26, 39]
    assert some == [int(face[0, 0, 0]) // 6 for face in faces.all(16, limit=4)]
    assert len(list(faces.all(16, limit=100))) == 40


def test_files_without_faces_are_refused(tmp_path, pack) -> None:
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    np.savez(tmp_path / "flat.npz", faces=np.zeros((4, 16, 16), np.uint8))
    np.savez(tmp_path / "few.npz", faces=np.zeros((4, 16, 16, 3), np.uint8))
    (tmp_path / "damaged.npz").write_bytes(b"no array")
    for name in ("other", "damaged", "missing"):
        with pytest.raises(TrainingError, match="no array"):
            Genuine(tmp_path / f"{name}.npz")
    with pytest.raises(TrainingError, match="uint8"):
        Genuine(tmp_path / "flat.npz")
    with pytest.raises(TrainingError, match="split 'val'"):
        Genuine(tmp_path / "few.npz", "val")
    with pytest.raises(TrainingError, match="split 'test'"):
        Genuine(pack, "test")


def test_framing_the_whole_crop_only_resizes() -> None:
    image = picture(64, 0)
    np.testing.assert_array_equal(framed(image, 64, Framing(1.0, 0.0)), image)


def test_framing_cuts_a_square_out_of_the_middle() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    image = np.stack([2 * rows + 40, 2 * columns + 40, 0 * rows], 2).astype(np.uint8)
    cut = framed(image, 32, Framing(0.5, 0.125))
    np.testing.assert_array_equal(cut, image[24:56, 16:48])
    small = framed(image, 8, Framing(0.5, 0.0)).astype(float)
    expected = image[16:48, 16:48].reshape(8, 4, 8, 4, 3).mean((1, 3))
    np.testing.assert_allclose(small[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1)
