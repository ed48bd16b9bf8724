"""Enhanced frames of a server."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crsr_video import api as enhancer
from crsr_video.config import Config
from crsr_video.errors import ServerError
from crsr_video.pipeline import Pipeline
from crsr_video.server import Client, EffectSettings
from crsr_video.server.protocol import EffectFlag
from tests.support.server import face_area, portrait, serving

ALONE, ORDERED = EffectSettings(), EffectSettings(flags=EffectFlag.ORDERED)


def changed(a, b):
    """Return a mask of the pixels in which two pictures differ, (H, W)."""
    return (a != b).any(-1)


def enhanced(path, settings, pictures):
    with Client(settings, path=path, command=()) as client:
        return [client.enhance(picture) for picture in pictures]


@pytest.mark.parametrize("settings", [ALONE, ORDERED], ids=["alone", "ordered"])
def test_only_the_face_changes_and_alpha_stays(shared, settings):
    picture = portrait()
    before = picture.copy()
    with Client(settings, path=shared.path, command=()) as client:
        result = client.process(picture)
    where = changed(picture[..., :3], result.picture[..., :3])
    assert (result.changed, result.seen, result.enhanced, result.notice) == (True, 1, 1, "")
    assert where.sum() > 500
    assert not where[~face_area(picture)].any()
    assert np.array_equal(result.picture[..., 3], picture[..., 3])
    assert np.array_equal(picture, before)


def test_the_result_equals_that_of_the_pipeline(shared):
    pictures = [portrait(dx)[..., :3] for dx in range(4)]
    both = EffectFlag.ORDERED | EffectFlag.HEAD
    for region, flags in (("face", EffectFlag.ORDERED), ("head", both)):
        with enhancer.Enhancer(Config.from_options(region=region), live=True) as direct:
            wanted = list(direct.enhance(pictures))
        found = enhanced(shared.path, EffectSettings(flags=flags), pictures)
        for mine, theirs in zip(found, wanted, strict=True):
            assert np.array_equal(mine, theirs)


def test_an_unordered_frame_gives_the_same_result_whatever_came_before(shared):
    a, b = portrait(), portrait(9.0)
    one, two, three, four = enhanced(shared.path, ALONE, [a, b, a, a])
    (other,) = enhanced(shared.path, ALONE, [b])
    assert np.array_equal(one, three)
    assert np.array_equal(one, four)
    assert np.array_equal(two, other)


def test_a_repeated_frame_in_order_gives_the_same_result(shared):
    first, again, _, later = enhanced(
        shared.path, ORDERED, [portrait(), portrait(), portrait(3), portrait(3)]
    )
    assert np.array_equal(first, again)
    assert changed(later, first).any()


def test_a_frame_that_differs_in_one_pixel_is_not_a_repetition(shared):
    """Only some rows are compared to detect repetitions."""
    picture = portrait()
    other = picture.copy()
    other[3, 5, 0] ^= 1  # in a row that is not looked at, far from the face
    other[106, 160, 0] ^= 1  # within the face
    first, second = enhanced(shared.path, ORDERED, [picture, other])
    assert second[3, 5, 0] == other[3, 5, 0]
    assert np.array_equal(changed(first, second)[:16].nonzero(), [[3], [5]])


@pytest.mark.parametrize("settings", [ALONE, ORDERED], ids=["alone", "ordered"])
def test_a_new_strength_applies_to_the_next_frame(shared, settings):
    picture = portrait()
    change = []
    with Client(path=shared.path, command=()) as client:
        for strength in (1.0, 0.5, 0.0):
            client.change(replace(settings, strength=strength))
            difference = client.enhance(picture).astype(float) - picture
            change.append(np.abs(difference).sum())
    assert change[1] == pytest.approx(change[0] / 2, rel=0.1)
    assert change[2] == 0


def test_faces_below_the_minimum_size_are_left_alone(shared):
    with Client(EffectSettings(min_face=120), path=shared.path, command=()) as client:
        result = client.process(portrait())
    assert (result.changed, result.enhanced) == (False, 0)


def test_compare_leaves_the_left_half_unchanged_and_draws_a_line(shared):
    picture = portrait()
    (plain,) = enhanced(shared.path, ALONE, [picture])
    (split,) = enhanced(shared.path, EffectSettings(flags=EffectFlag.COMPARE), [picture])
    assert np.array_equal(split[:, :159], picture[:, :159])
    assert (split[:, 159:161, :3] == 255).all()
    assert np.array_equal(split[:, 161:], plain[:, 161:])
    assert changed(split, picture)[:, 161:].any()
    assert np.array_equal(split[..., 3], picture[..., 3])


def test_debug_draws_boxes(shared):
    picture = portrait()
    (drawn,) = enhanced(shared.path, EffectSettings(flags=EffectFlag.DEBUG), [picture])
    assert ((drawn[..., :3] == (64, 255, 64)).all(-1)).sum() > 200
    assert np.array_equal(drawn[..., 3], picture[..., 3])


def test_identity_weights_change_almost_nothing(shared):
    picture = portrait()
    (same,) = enhanced(shared.path, EffectSettings(model="identity"), [picture])
    assert np.abs(same.astype(int) - picture).max() <= 12
    assert not changed(same, picture)[~face_area(picture)].any()


def test_simultaneous_clients_do_not_affect_each_other(shared):
    films = [[portrait(dx) for dx in range(5)], [portrait(-2 * dx, 360, 200) for dx in range(5)]]
    apart = [enhanced(shared.path, ORDERED, film) for film in films]
    together = [[], []]

    def run(number):
        together[number] = enhanced(shared.path, ORDERED, films[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for alone, beside in zip(apart, together, strict=True):
        assert len(beside) == 5
        assert all(np.array_equal(x, y) for x, y in zip(alone, beside, strict=True))


def test_frames_may_change_their_size(shared):
    with Client(path=shared.path, command=()) as client:
        for size in ((320, 240), (200, 240), (1, 1), (320, 240)):
            result = client.process(portrait(0, *size))
            assert result.picture.shape[:2] == size[::-1]
    assert result.enhanced == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (EffectSettings(model="nothing"), "unknown model 'nothing'"),
        (EffectSettings(model="/etc/passwd"), "weights '/etc/passwd'"),
        (EffectSettings(tracks="/nowhere/t.json"), "/nowhere/t.json: cannot be read"),
        (EffectSettings(persons="1,x"), "persons: invalid track ID 'x'"),
        (EffectSettings(persons="2=loud"), "persons: invalid face setting 'loud'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_be_met_are_refused_and_can_be_corrected(shared, settings, told):
    with Client(path=shared.path, command=()) as client:
        with pytest.raises(ServerError, match="refuses: ") as caught:
            client.change(settings)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(ServerError, match="refuses"):
            client.enhance(portrait())
        client.change(ALONE)
        assert client.process(portrait()).enhanced == 1


def test_a_failing_frame_does_not_end_the_conversation(shared, monkeypatch):
    def broken(*_):
        raise RuntimeError("it is\nbroken")

    picture = portrait()
    with Client(path=shared.path, command=()) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "push", broken)
            with pytest.raises(ServerError, match="RuntimeError: it is broken"):
                client.enhance(picture)
        assert client.process(picture).enhanced == 1


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 2), (0, 10, 3), (10, 16385, 3)])
def test_the_client_refuses_arrays_that_are_not_pictures(shared, shape):
    with Client(path=shared.path, command=()) as client:
        with pytest.raises(ValueError, match="a picture"):
            client.enhance(np.zeros(shape, np.uint8))
        with pytest.raises(ValueError, match="float"):
            client.enhance(np.zeros((8, 8, 3)))


def resident():
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_further_clients_need_memory_for_frames_but_not_for_models(folder):
    """Weights and face models take 20 MB and more each; a frame here 0.3 MB, twice mapped."""
    with serving(folder / "s") as server:
        clients = []
        try:
            for number in range(14):
                if number == 4:
                    before = resident()
                clients.append(Client(ORDERED, path=server.path, command=()))
                assert clients[-1].process(portrait()).enhanced == 1
            grown = (resident() - before) / 10
        finally:
            for client in clients:
                client.close()
    assert grown < 6e6


def test_an_array_that_is_filled_again_is_another_frame() -> None:
    pictures = [portrait(dx)[..., :3] for dx in (0.0, 6.0)]
    with enhancer.Enhancer(live=True) as one:
        wanted = [one.push(picture)[0] for picture in pictures]
    buffer = np.empty_like(pictures[0])
    with enhancer.Enhancer(live=True) as other:
        for picture, expected in zip(pictures, wanted, strict=True):
            buffer[:] = picture
            assert np.array_equal(other.push(buffer)[0], expected)
