from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from crsr_video.imaging.geometry import apply
from crsr_video.networks import Bicubic, Consistifier, IdentityConsistifier
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.superres import SuperResolveStage, without_tint
from crsr_video.types import Crop
from tests.support.frames import crop_of, flat_frame, make_face, tracked
from tests.support.operations import NUMPY, predicting, predictor

PLACE = np.array([[0.5, -0.1, 3.0], [0.1, 0.5, -2.0]])


def item(*faces):
    return tracked(flat_frame("gray", 4, 4, (0, 0, 0)), *faces)


def face_with_crop(rng, size=8, **fields):
    crop = Crop(rng.random((3, size, size), np.float32), PLACE)
    return replace(make_face(), crop=crop, **fields)


def test_consistify_fills_in_the_consistent_crop_at_the_same_place(rng):
    face = face_with_crop(rng)
    (done,) = ConsistifyStage(predictor(IdentityConsistifier()), NUMPY).push(item(face))
    (found,) = done.faces
    assert np.array_equal(found.consistent.image, face.crop.image)
    assert np.array_equal(found.consistent.crop_from_frame, PLACE)
    assert replace(found, consistent=None) == face


def test_consistify_keeps_pictures_legal(rng):
    def overshoot(images):
        return images * 3 - 1

    (done,) = ConsistifyStage(predicting(overshoot), NUMPY).push(item(face_with_crop(rng)))
    image = done.faces[0].consistent.image
    assert image.dtype == np.float32
    assert image.min() == 0
    assert image.max() == 1


def test_super_resolve_fills_in_a_crop_four_times_larger_at_the_same_place(rng):
    face = replace(face_with_crop(rng), consistent=Crop(rng.random((3, 8, 8), np.float32), PLACE))
    (done,) = SuperResolveStage(predictor(Bicubic()), NUMPY).push(item(face))
    (found,) = done.faces
    assert found.enhanced.size == 32
    # The crop's own corner is the enlarged crop's corner.
    inverse = np.linalg.inv(PLACE[:, :2])
    corners = (np.array([[-0.5, -0.5], [7.5, 7.5]]) - PLACE[:, 2]) @ inverse.T
    moved = apply(found.enhanced.crop_from_frame, corners)
    assert moved == pytest.approx(np.array([[-0.5, -0.5], [31.5, 31.5]]))
    assert replace(found, enhanced=None) == face


def test_super_resolve_works_on_the_consistent_crop(rng):
    face = replace(face_with_crop(rng), consistent=crop_of(0.25))
    seen = []

    def watched(images):
        seen.append(images)
        return np.repeat(np.repeat(images, 4, 2), 4, 3)

    SuperResolveStage(predicting(watched), NUMPY).push(item(face))
    assert np.array_equal(seen[0][0], face.consistent.image)


def test_colour_and_light_stay_those_of_the_crop(rng):
    seen = cv2.GaussianBlur(rng.random((32, 32, 3)).astype(np.float32), (0, 0), 6)
    seen = seen.transpose(2, 0, 1).copy()
    large = cv2.resize(seen.transpose(1, 2, 0), (128, 128), interpolation=cv2.INTER_CUBIC)
    detail = 0.1 * np.sin(np.arange(128, dtype=np.float32) * 1.5)[:, None, None]
    tinted = (large + detail + np.float32([0.1, -0.05, 0.02])).transpose(2, 0, 1)
    tinted = np.ascontiguousarray(tinted)
    kept = without_tint(tinted[None], seen[None], NUMPY)[0].transpose(1, 2, 0)
    assert np.abs(kept - large - detail).max() < 0.01


def test_faces_that_are_left_alone_pass_unchanged(rng):
    alone = make_face(skipped="too small")
    enhanced = face_with_crop(rng)
    (done,) = ConsistifyStage(predictor(IdentityConsistifier()), NUMPY).push(item(alone, enhanced))
    assert done.faces[0] is alone
    (done,) = SuperResolveStage(predictor(Bicubic()), NUMPY).push(done)
    assert done.faces[0] is alone
    assert done.faces[1].enhanced is not None


class Doubler:
    """Network that doubles values, and keeps the shapes of its batches."""

    def __init__(self):
        self.shapes = []

    def __call__(self, pictures):
        self.shapes.append(tuple(pictures.shape))
        return pictures * 2


def sized_face(value, size=8, track=0):
    return replace(make_face(), track=track, crop=crop_of(value, size))


def consistent_values(items):
    return [[f.consistent.image[0, 0, 0] if f.consistent else None for f in i.faces] for i in items]


def test_every_face_gets_its_own_result_in_order():
    faces = [sized_face(0.1), sized_face(0.2), make_face(skipped="too small"), sized_face(0.3)]
    (done,) = ConsistifyStage(Doubler(), NUMPY, batch=4).push(item(*faces))
    assert consistent_values([done]) == [
        [pytest.approx(v) if v else v for v in (0.2, 0.4, None, 0.6)]
    ]
    assert done.faces[1].crop.image[0, 0, 0] == np.float32(0.2)


def test_sizes_are_not_mixed_in_a_batch():
    doubler = Doubler()
    faces = [sized_face(v, s) for v, s in ((0.1, 8), (0.2, 16), (0.3, 8), (0.4, 32), (0.45, 16))]
    (done,) = ConsistifyStage(doubler, NUMPY, batch=4).push(item(*faces))
    assert consistent_values([done]) == [pytest.approx([0.2, 0.4, 0.6, 0.8, 0.9])]
    assert sorted(doubler.shapes) == [(1, 3, 32, 32), (2, 3, 8, 8), (2, 3, 16, 16)]


def test_faces_of_frames_that_come_together_share_batches():
    doubler = Doubler()
    items = [item(sized_face(0.1), sized_face(0.2)), item(), item(sized_face(0.3))]
    done = ConsistifyStage(doubler, NUMPY, batch=4).push_all(items)
    assert consistent_values(done) == [pytest.approx([0.2, 0.4]), [], pytest.approx([0.6])]
    assert doubler.shapes == [(3, 3, 8, 8)]


def test_no_batch_is_larger_than_asked():
    doubler = Doubler()
    ConsistifyStage(doubler, NUMPY, batch=4).push(item(*[sized_face(i / 20) for i in range(10)]))
    assert [shape[0] for shape in doubler.shapes] == [4, 4, 2]


def test_large_crops_go_in_smaller_batches():
    doubler = Doubler()
    stage = ConsistifyStage(doubler, NUMPY, batch=64)
    stage.push(item(*[sized_face(0.4, 128)] * 20))
    assert [shape[0] for shape in doubler.shapes] == [16, 4]


def test_a_batch_that_does_not_fit_into_memory_is_halved():
    sizes = []

    def small(pictures, most=2):
        sizes.append(len(pictures))
        if len(pictures) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return pictures * 2

    faces = [sized_face(i / 20) for i in range(5)]
    (done,) = ConsistifyStage(small, NUMPY, batch=64).push(item(*faces))
    assert consistent_values([done]) == [pytest.approx([i / 10 for i in range(5)])]
    assert max(sizes) == 5
    with pytest.raises(torch.cuda.OutOfMemoryError):
        ConsistifyStage(lambda x: small(x, most=0), NUMPY).push(item(faces[0]))


def test_a_failing_network_is_not_hidden():
    def fail(_pictures):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        ConsistifyStage(fail, NUMPY).push(item(sized_face(0.1)))


def test_batches_give_what_one_by_one_gives(rng):
    torch.manual_seed(3)
    network = Consistifier((4, 6, 8), 1)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    predict = predictor(network)
    items = [
        item(*(face_with_crop(rng, size, track=i) for i, size in enumerate(sizes)))
        for sizes in ([8, 16], [], [8], [16, 16, 8])
    ]
    together = ConsistifyStage(predict, NUMPY, batch=5).push_all(items)
    for one, given in zip(together, items, strict=True):
        (alone,) = ConsistifyStage(predict, NUMPY).push(given)
        for a, b in zip(one.faces, alone.faces, strict=True):
            assert a.track == b.track
            assert np.abs(a.consistent.image - b.consistent.image).max() < 1e-5


def test_a_warm_up_runs_the_network_once_for_each_size():
    doubler = Doubler()
    ConsistifyStage(doubler, NUMPY, warm_up_sizes=(32, 64)).warm_up()
    assert doubler.shapes == [(1, 3, 32, 32), (1, 3, 64, 64)]


@pytest.mark.parametrize("enlargement", [4, 3, 2, 1])
def test_an_enhanced_crop_is_no_larger_than_the_result_needs(rng, enlargement):
    """Added detail and the input's own detail are both kept."""
    picture = cv2.GaussianBlur(rng.random((32, 32, 3)).astype(np.float32), (0, 0), 2)
    crop = Crop(np.ascontiguousarray(picture.transpose(2, 0, 1)), np.eye(2, 3))
    face = replace(make_face(), crop=crop, consistent=crop, enlargement=enlargement)
    side = 32 * enlargement
    wave = 0.1 * np.sin(np.arange(128, dtype=np.float32) / 3)

    def waved(images):
        return NUMPY.resize(images, 128, "cubic") + wave

    (done,) = SuperResolveStage(predicting(waved), NUMPY).push(item(face))
    made = done.faces[0].enhanced
    assert made.size == side
    assert made.crop_from_frame[0, 0] == pytest.approx(enlargement)
    added = made.image - NUMPY.resize(crop.image[None], side, "cubic")[0]
    expected = cv2.resize(wave[None], (side, 1), interpolation=cv2.INTER_AREA)[0]
    assert np.abs(added - expected)[:, 8:-8, 8:-8].max() < 0.03
