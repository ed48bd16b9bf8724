"""Drawn scenes and their ground truth."""

from itertools import islice

import numpy as np
import pytest

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking import suite
from crsr_video.evaluation.tracking.drawing import Backdrops, cover, find_backdrops, render
from crsr_video.evaluation.tracking.scenes import Actor, Key, Occluder, Scene, Shot, Sway, people
from crsr_video.io.pictures import as_rgb
from tests.support.tracking_truth import dotted


class Grey(Backdrops):
    def picture(self, number, width, height):
        return np.full((height, width, 3), (90, 120, 150)[number % 3], np.uint8)


def scene(*layers, size=(320, 240), frames=1, **shot):
    return Scene("made", (Shot(0, layers, **shot),), frames=frames, size=size, noise=0)


def first(made, cast=None, index=0):
    return next(islice(render(made, cast or [dotted()], Grey()), index, None))


def centroid(luma, point, reach):
    """Return the centroid of a dark spot about a point in light surroundings."""
    x0, y0 = (int(v - reach) for v in point)
    side = int(2 * reach) + 2
    dark = luma[y0 : y0 + side, x0 : x0 + side].astype(float)
    weight = np.clip(np.median(dark) - 8 - dark, 0, None)
    rows, columns = np.mgrid[y0 : y0 + side, x0 : x0 + side]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("width", "tilt"), [(40.0, 0.0), (57.3, -33.0), (88.8, 90.0), (100.0, 14.5), (150.0, 180.0)]
)
def test_drawn_landmarks_lie_at_the_true_landmarks(width, tilt):
    for x, y in ((160.0, 120.0), (160.37, 119.61)):
        shown = first(scene(Actor(1, 0, (Key(0, x, y, width, tilt),))))
        (face,) = shown.faces
        for point in face.points:
            spot = centroid(shown.frame.components[0], point, width / 10)
            assert np.hypot(*(spot - point)) < 0.06
        assert face.width == width and face.visible == face.inside == 1


def test_small_faces_are_band_limited():
    """The mean of a shrunk head is the same wherever it lies against the pixels."""
    means = []
    for shift in np.linspace(0, 1, 5):
        shown = first(scene(Actor(1, 0, (Key(0, 160 + shift, 120, 12),))))
        means.append(float(np.abs(shown.frame.components[0].astype(float) - 90).sum()))
    assert np.ptp(means) < 0.01 * np.mean(means)


def test_the_box_turns_with_the_head():
    (level,) = first(scene(Actor(1, 0, (Key(0, 160, 120, 80),)))).faces
    (lying,) = first(scene(Actor(1, 0, (Key(0, 160, 120, 80, 90),)))).faces
    x0, y0, x1, y1 = level.box
    assert x1 - x0 == pytest.approx(2 * 0.268 * 1.9 * 80)
    np.testing.assert_allclose(lying.box, (160 - (y1 - y0) / 2, 120 - (x1 - x0) / 2,
                                           160 + (y1 - y0) / 2, 120 + (x1 - x0) / 2))  # fmt: skip


def test_half_of_a_face_behind_a_board_is_half_visible():
    face = Actor(1, 0, (Key(0, 160, 120, 80),))
    for look in ("wall", "hand"):
        board = Occluder((Key(0, 260, 120, 200),), 8.0, look)
        (truth,) = first(scene(face, board)).faces
        assert truth.visible == pytest.approx(0.5, abs=0.05) and truth.inside == 1
    (truth,) = first(scene(board, face)).faces  # behind it, a board hides nothing
    assert truth.visible == 1


def test_a_face_at_the_edge_is_half_inside():
    (truth,) = first(scene(Actor(1, 0, (Key(0, -0.5, 120, 80),)))).faces
    assert truth.inside == truth.visible == pytest.approx(0.5, abs=0.05)
    (truth,) = first(scene(Actor(1, 0, (Key(0, -100, 120, 80),)))).faces
    assert truth.inside == truth.visible == 0


def test_one_head_hides_another():
    back, front = Actor(1, 0, (Key(0, 150, 120, 60),)), Actor(2, 0, (Key(0, 150, 120, 70),))
    hidden, clear = first(scene(back, front)).faces
    assert hidden.visible < 0.02 and clear.visible == 1 and (hidden.id, clear.id) == (1, 2)


def test_the_camera_moves_faces_and_background_alike():
    made = Scene(
        "made",
        (Shot(0, (Actor(1, 0, (Key(0, 100, 120, 60),)),), pan=(2.0, 1.0)),),
        frames=6,
        size=(320, 240),
        noise=0,
    )
    shown = list(render(made, [dotted()], Backdrops(seed=3)))
    moved = shown[5].faces[0].points - shown[0].faces[0].points
    np.testing.assert_allclose(moved, np.tile([10.0, 5.0], (5, 1)))
    luma = [s.frame.components[0] for s in shown]
    np.testing.assert_array_equal(luma[0][20:60, 200:280], luma[5][25:65, 210:290])


def test_a_seed_determines_the_pixels():
    made = suite.scenes(["still-noise"])[0]
    cast = [dotted()]
    one, same, other = (
        [s.frame.components[0] for s in render(made, cast, Backdrops(seed=k), seed=k, frames=2)]
        for k in (1, 1, 2)
    )
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0], one[1]) and not np.array_equal(one[0], other[0])


def test_frames_are_drawn_on_demand():
    made = scene(Actor(1, 0, (Key(0, 100, 100, 40),)), frames=10**9)
    assert [s.index for s in islice(render(made, [dotted()], Grey()), 3)] == [0, 1, 2]


def test_cuts_change_the_background():
    made = Scene("made", (Shot(0, ()), Shot(2, (), backdrop=1)), frames=4, size=(64, 48), noise=0)
    shown = list(render(made, [dotted()], Grey()))
    assert [s.begins_shot for s in shown] == [True, False, True, False]
    assert [int(as_rgb(s.frame).mean()) for s in shown] == [90, 90, 120, 120]


def test_a_path_is_straight_between_keys():
    made = scene(Actor(1, 0, (Key(0, 0, 50, 20), Key(10, 100, 70, 40, 30))), frames=20)
    face = first(made, index=5).faces[0]
    assert face.width == 30
    np.testing.assert_allclose(np.add(face.box[:2], face.box[2:]) / 2, (50, 60))
    swaying = scene(Actor(1, 0, (Key(0, 100, 100, 40),), Sway(8, 0, 0, 40)), frames=20)
    box = first(swaying, index=10).faces[0].box
    assert (box[0] + box[2]) / 2 == pytest.approx(108)


def test_the_suite_is_consistent():
    assert len(set(suite.NAMES)) == len(suite.NAMES) >= 15
    for made in suite.SUITE:
        ids = [a.id for shot in made.shots for a in shot.layers if isinstance(a, Actor)]
        assert len(ids) == len(set(ids)), made.name
        assert made.size[0] % 2 == made.size[1] % 2 == 0
        assert [shot.start for shot in made.shots] == sorted({shot.start for shot in made.shots})
        assert made.shots[0].start == 0 and made.shots[-1].start < made.frames
    with pytest.raises(ConfigError, match="unknown scene 'crosing': use sizes-16-24"):
        suite.scenes(["crosing"])


def test_the_default_cast_needs_no_data():
    cast = people(None)
    assert len(cast) == 8 and len({p.name for p in cast}) == 8
    made = scene(Actor(1, 0, (Key(0, 160, 120, 60),)))
    plain, mirrored = (first(made, [p]) for p in cast[:2])
    # The mirrored one's right eye is the portrait's left, so the truth is mirrored too.
    a, b = plain.faces[0].points, mirrored.faces[0].points
    np.testing.assert_allclose(a[:, 0] - 160, -(b[[1, 0, 2, 4, 3], 0] - 160), atol=1e-6)


def test_small_backgrounds_are_mirrored():
    small = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    filled = cover(small, 30, 20)
    assert filled.shape == (20, 30, 3)
    np.testing.assert_array_equal(filled[:, :9], filled[:, 17:8:-1])


def test_a_folder_without_backgrounds_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no picture or video"):
        find_backdrops(tmp_path, 0)
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="is not a picture"):
        find_backdrops(tmp_path, 0).picture(0, 64, 48)
