from dataclasses import replace

import cv2
import numpy as np
import pytest

from crsr_video.imaging.geometry import apply, invert
from crsr_video.imaging.masks import face_mask, mask, possibly_changed, window
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.io.reader import Reader
from crsr_video.networks import Bicubic, IdentityConsistifier
from crsr_video.stages.align import Aligner
from crsr_video.stages.backoff import BackOff
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.head_detail import HeadDetail
from crsr_video.stages.heads import CANONICAL_CELLS, CELLS, HeadMasks
from crsr_video.stages.paste import Paster
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage
from crsr_video.track.person import PersonModel
from crsr_video.types import Crop, Frame
from tests.support.face_models import face_model
from tests.support.frames import make_face, make_frame, same_planes, tracked
from tests.support.operations import NUMPY, TORCH, predictor
from tests.support.paths import PORTRAIT
from tests.support.people import BALD, HAND, HAT, VOLUMINOUS_HAIR, DrawnPeople, silhouette

SIZE = (200, 260)
FACE = make_face(120, 110, 110, 12, track=3)


def scene(rng, parts=BALD, face=FACE, name="yuv420p"):
    """Return a frame with a drawn person, and the person's silhouette."""
    frame = make_frame(name, *SIZE, rng)
    return frame, silhouette(frame, face, parts)


def with_heads(frame, people, *faces, **options):
    (item,) = HeadMasks(DrawnPeople(people), **options).push(tracked(frame, *faces))
    return item


def invented(item, rng, amount=0.3):
    """Return the item with noise added to its enhanced faces."""
    (item,) = Aligner(NUMPY).push(item)
    (item,) = ConsistifyStage(predictor(IdentityConsistifier()), NUMPY).push(item)
    (item,) = SuperResolveStage(predictor(Bicubic()), NUMPY).push(item)
    (item,) = HeadDetail(NUMPY).push(item)
    (item,) = Smoother(NUMPY, 2, causal=True).push(item)
    (item,) = BackOff(NUMPY).push(item)
    faces = []
    for face in item.faces:
        wild = face.enhanced.image + amount * rng.normal(0, 1, face.enhanced.image.shape)
        enhanced = replace(face.enhanced, image=wild.astype(np.float32))
        faces.append(replace(face, enhanced=enhanced, strength=1.0))
    return replace(item, faces=tuple(faces))


def pasted(item, rng):
    (done,) = Paster(NUMPY).push(invented(item, rng))
    return done


@pytest.mark.parametrize(
    ("parts", "least"), [(BALD, 0.97), (VOLUMINOUS_HAIR, 0.85), (HAT, 0.9), (HAND, 0.95)]
)
def test_a_head_is_covered_with_its_hair_hat_and_hand(rng, parts, least):
    frame, person = scene(rng, parts)
    values = mask(pasted(with_heads(frame, person, FACE), rng))
    # Below the chin the mask may end in the neck.
    above_chin = fractions(frame, FACE)[1] < 0.88
    assert (values[(person > 0) & above_chin] > 0.5).mean() > least
    # It ends in the background, within an eighth of the crop.
    near = cv2.dilate(person, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (29, 29)))
    face_only = mask(pasted(tracked(frame, FACE), rng))
    assert values[(near == 0) & (face_only == 0)].max() == 0


def fractions(frame, face):
    """Return the coordinates x and y, (H, W) each, of all pixels in a face's canonical crop."""
    y, x = np.mgrid[: frame.height, : frame.width]
    (item,) = Aligner(NUMPY).push(tracked(frame, face))
    crop = item.faces[0].crop
    points = apply(crop.crop_from_frame, np.stack([x, y], -1).reshape(-1, 2))
    return ((points + 0.5) / crop.size).T.reshape(2, frame.height, frame.width)


def test_the_crop_grows_for_hair_above_it(rng):
    frame, person = scene(rng, VOLUMINOUS_HAIR)
    (with_hair,) = Aligner(NUMPY).push(with_heads(frame, person, FACE))
    (without,) = Aligner(NUMPY).push(tracked(frame, FACE))
    (large,), (small,) = with_hair.faces, without.faces
    assert (large.crop.headroom, small.crop.headroom) == (small.crop.size // 8, 0)
    assert large.crop.size == small.crop.size + large.crop.headroom
    assert np.allclose(large.crop.canonical.crop_from_frame, small.crop.crop_from_frame)
    assert np.abs(large.crop.canonical.image - small.crop.image).max() < 1e-5
    (bald,) = Aligner(NUMPY).push(with_heads(frame, silhouette(frame, FACE, BALD), FACE))
    assert bald.faces[0].crop.headroom == 0


@pytest.mark.parametrize("name", ["gray", "yuv420p", "yuv411p", "yuv420p10", "gbrp16"])
@pytest.mark.parametrize("parts", [BALD, VOLUMINOUS_HAIR, HAT])
def test_pixels_outside_a_heads_mask_are_bit_identical(rng, name, parts):
    frame, person = scene(rng, parts, name=name)
    done = pasted(with_heads(frame, person, FACE), rng)
    inside, values = possibly_changed(done), mask(done)
    assert inside[values > 0].all()
    assert inside.mean() < 0.6
    x0, y0, x1, y1 = done.changed[0].box
    assert inside[y0:y1, x0:x1].sum() == inside.sum()
    for index, (old, new) in enumerate(zip(frame.components, done.components, strict=True)):
        y, x = np.mgrid[: old.shape[0], : old.shape[1]]
        places = apply(
            invert(plane_from_frame(frame.layout, index)), np.stack([x, y], -1).reshape(-1, 2)
        )
        u, v = np.rint(places).astype(int).T
        allowed = inside[v.clip(0, SIZE[0] - 1), u.clip(0, SIZE[1] - 1)].reshape(old.shape)
        assert np.array_equal(old[~allowed], new[~allowed])
        assert (old != new).mean() > 0.05


@pytest.mark.parametrize("parts", [BALD, VOLUMINOUS_HAIR])
def test_a_device_pastes_the_same_heads(rng, parts):
    frame, person = scene(rng, parts)
    item = invented(with_heads(frame, person, FACE, whole=True), rng)
    (one,), (other,) = (Paster(operations).push(item) for operations in (NUMPY, TORCH))
    assert one.changed[0].box == other.changed[0].box
    outside = ~possibly_changed(one)
    assert np.array_equal(other.components[0][outside], frame.components[0][outside])
    for a, b in zip(one.components, other.components, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


@pytest.mark.parametrize("parts", [BALD, VOLUMINOUS_HAIR])
def test_an_identity_network_changes_no_bit_of_a_head(rng, parts):
    frame, person = scene(rng, parts)
    item = invented(with_heads(frame, person, FACE), rng, amount=0.0)
    item = replace(item, faces=tuple(replace(face, detail=0.0) for face in item.faces))
    (done,) = Paster(NUMPY).push(item)
    assert same_planes(done, frame)


def test_a_second_head_behind_keeps_its_face(rng):
    other = make_face(185, 90, 90, -5, track=4)
    frame, person = scene(rng)
    both = np.maximum(person, silhouette(frame, other, BALD))
    item = with_heads(frame, both, FACE, replace(other, skipped="turned off by the user"))
    values = mask(pasted(replace(item, faces=item.faces[:1]), rng))
    alone = mask(pasted(with_heads(frame, both, FACE), rng))
    x, y = np.rint(other.landmarks).astype(int).T
    assert values[y, x].max() < 0.05
    assert alone[y, x].max() > values[y, x].max()
    x, y = np.rint(FACE.landmarks).astype(int).T
    assert values[y, x].min() > 0.99


def test_without_a_person_the_mask_is_that_of_the_face(rng):
    frame, person = scene(rng)
    (face,) = with_heads(frame, np.zeros_like(person), FACE).faces
    above = CELLS - CANONICAL_CELLS
    canonical = face.head.shares[above:, above // 2 : -above // 2]
    assert np.abs(canonical - face_mask(CANONICAL_CELLS)).max() < 0.002
    assert face.head.shares.sum() == pytest.approx(canonical.sum())
    assert face.head.window == (2, 16, 2, 14)


@pytest.mark.parametrize("parts", [BALD, VOLUMINOUS_HAIR, HAT, HAND])
def test_the_part_that_is_computed_contains_the_mask(rng, parts):
    frame, person = scene(rng, parts)
    (item,) = Aligner(NUMPY).push(with_heads(frame, person, FACE))
    (face,) = item.faces
    rows, columns = window(CELLS, face.head.window, CELLS - CANONICAL_CELLS)
    outside = face.head.shares.copy()
    outside[rows, columns] = 0
    assert outside.max() == 0
    rows, columns = window(face.crop.size, face.head.window, face.crop.headroom)
    assert 0 <= rows.start < rows.stop <= face.crop.size
    assert 0 <= columns.start < columns.stop <= face.crop.size


def test_faces_that_are_computed_together_get_the_whole_crop(rng):
    frame, person = scene(rng)
    stage = HeadMasks(DrawnPeople(person), whole=True)
    heads = [stage.push(tracked(frame, FACE))[0].faces[0].head for _ in range(5)]
    assert {(head.window, head.has_headroom, head.is_fresh) for head in heads} == {
        ((-2, 16, -1, 17), True, True)
    }


def test_a_head_is_computed_again_when_it_has_changed_and_after_a_cut(rng):
    frame, person = scene(rng)
    finder = DrawnPeople(person)
    stage = HeadMasks(finder, every=4)

    def fresh(given, count, **options):
        done = [stage.push(tracked(given, FACE, **options))[0] for _ in range(count)]
        return sum(item.faces[0].head.is_fresh for item in done)

    assert (fresh(frame, 15), finder.runs) == (1, 1)
    assert (fresh(frame, 4), finder.runs) == (1, 2)  # The fourth examination is one of these.
    dark = frame.with_components(tuple(plane // 2 for plane in frame.components))
    assert (fresh(dark, 4), finder.runs) == (1, 3)
    assert (fresh(dark, 4), finder.runs) == (0, 3)
    assert (fresh(dark, 1, cut=True), finder.runs) == (1, 4)
    stage.close()
    assert finder.closed


def test_a_mask_changes_without_steps(rng):
    frame, bald = scene(rng)
    finder = DrawnPeople(bald)
    stage = HeadMasks(finder, every=1)
    before = stage.push(tracked(frame, FACE))[0].faces[0].head.shares
    finder.picture = silhouette(frame, FACE, HAND)
    seen = [stage.push(tracked(frame, FACE))[0].faces[0].head.shares for _ in range(12)]
    steps = [np.abs(b - a).max() for a, b in zip([before, *seen], seen, strict=False)]
    assert max(steps) < 0.45
    assert np.abs(seen[-1] - before).max() > 0.9


def test_skipped_and_impossible_faces_get_no_mask(rng):
    frame, person = scene(rng)
    wrong = replace(FACE, track=5, landmarks=np.zeros((5, 2)))
    item = with_heads(frame, person, replace(FACE, skipped="too small"), wrong)
    assert [face.head for face in item.faces] == [None, None]


@pytest.mark.parametrize("operations", [NUMPY, TORCH], ids=["numpy", "torch"])
def test_the_change_around_a_face_is_carried_to_the_next_frames(rng, operations):
    frame, person = scene(rng, VOLUMINOUS_HAIR)
    stage, detail = HeadMasks(DrawnPeople(person)), HeadDetail(operations)
    added = 0.1 * rng.normal(0, 1, (3, 288, 288)).astype(np.float32)
    done = []
    for number in range(3):
        (item,) = stage.push(tracked(frame, FACE))
        (item,) = Aligner(NUMPY).push(item)
        (face,) = item.faces
        large = NUMPY.resize(face.crop.image[None], 4 * face.crop.size, "cubic")[0]
        # Later frames show something else where the networks look at the face only.
        size = large.shape[-1]
        picture = large + (added[:, :size, :size] if number == 0 else 0.5)
        matrix, room = face.crop.crop_from_frame, face.crop.headroom
        enhanced = Crop(picture.astype(np.float32), matrix, 4 * room)
        face = replace(face, consistent=face.crop, enhanced=enhanced)
        (item,) = detail.push(replace(item, faces=(face,)))
        done.append((item.faces[0], large, picture))
    (first, large, _), *later = done
    around = np.asarray(first.enhanced.image) - large
    for face, large, picture in later:
        assert not face.head.is_fresh
        result = np.asarray(face.enhanced.image)
        corner = (slice(None), slice(0, 60), slice(0, 200))
        assert np.abs((result - large)[corner] - around[corner]).max() < 1e-3
        middle = (slice(None), slice(140, 200), slice(120, 170))
        assert np.abs((result - picture)[middle]).max() < 1e-3


def test_nothing_is_carried_to_a_frame_that_shows_something_else(rng):
    frame, person = scene(rng, VOLUMINOUS_HAIR)
    stage, detail = HeadMasks(DrawnPeople(person)), HeadDetail(NUMPY)
    for number in range(2):
        (item,) = Aligner(NUMPY).push(stage.push(tracked(frame, FACE))[0])
        (face,) = item.faces
        image = face.crop.image if number == 0 else 1 - face.crop.image
        crop = replace(face.crop, image=image)
        large = NUMPY.resize(image[None], 4 * crop.size, "cubic")[0]
        enhanced = Crop(large + np.float32(0.3 * (number == 0)), crop.crop_from_frame)
        face = replace(face, crop=crop, consistent=crop, enhanced=enhanced)
        (item,) = detail.push(replace(item, faces=(face,)))
    change = item.faces[0].enhanced.image - large
    assert np.abs(change[:, :50]).mean() < 0.1


def test_the_model_finds_a_real_head():
    face_model("person")
    with Reader(PORTRAIT) as reader, PersonModel() as model:
        frame = next(item for item in reader if isinstance(item, Frame))
        square = np.array([[1 / frame.height, 0, 0], [0, 1 / frame.height, 0]])
        square[0, 2] = 0.5 - frame.width / 2 / frame.height
        seen = model.segment(frame, square)
    assert seen.shape == (256, 256)
    assert 0 <= seen.min() <= seen.max() <= 1
    assert seen[80:110, 104:134].mean() > 0.9
    assert seen[:30, :30].mean() < 0.1
