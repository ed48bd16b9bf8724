from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from crsr_video.errors import TrainingError
from crsr_video.evaluation.video_clips import (
    QUALITIES,
    Clip,
    ClipDegradation,
    choose_faces,
    clips_in,
    decoded,
    draw_degradation,
    shrink,
    shrunk_size,
    upright,
    write_degraded,
)
from tests.support.frames import make_face
from tests.support.video import make_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "waves.mp4"
    make_video(path, size=(160, 120), frames=8, rate=24, audio=1, options={"crf": "10"})
    return Clip("waves", path)


def names(tmp_path, *files, limit=None):
    for file in files:
        (tmp_path / file).touch()
    return [(c.name, c.degraded is not None) for c in clips_in(tmp_path, limit)]


def test_names_distinguish_clips_and_pairs(tmp_path) -> None:
    files = ("b.mp4", "a_pristine.mkv", "a_distorted.mp4", "notes.txt", "c.MOV")
    assert names(tmp_path, *files) == [("a", True), ("b", False), ("c", False)]


def test_a_limit_takes_evenly_spread_clips(tmp_path) -> None:
    files = [f"{letter}.mp4" for letter in "abcde"]
    assert [n for n, _ in names(tmp_path, *files, limit=3)] == ["a", "c", "e"]


@pytest.mark.parametrize("half", ["x_pristine.mp4", "x_distorted.mp4"])
def test_half_a_pair_is_an_error(tmp_path, half) -> None:
    with pytest.raises(TrainingError, match="beside it"):
        names(tmp_path, half)


def test_a_folder_without_clips_is_an_error(tmp_path) -> None:
    with pytest.raises(TrainingError, match="no clip"):
        clips_in(tmp_path)


def test_large_lasting_faces_are_measured() -> None:
    main, small = make_face(track=1, side=190), make_face(track=2, side=60)
    brief, twin = make_face(track=3, side=190), make_face(track=4, side=120)
    hidden = make_face(track=5, side=190, skipped="too small")
    seen = [(main, small, hidden, *([brief] * (t < 3)), *([twin] * (t > 1))) for t in range(10)]
    known = choose_faces(seen, "clip")
    assert known.tracks == {1, 4}
    assert known.width == pytest.approx(100)
    assert [sorted(frame) for frame in known.points] == [[1]] * 2 + [[1, 4]] * 8
    with pytest.raises(TrainingError, match="no face stays"):
        choose_faces([(small,), (), (), (), ()], "clip")


def test_frames_are_upright_with_square_pixels(tmp_path) -> None:
    path = make_video(
        tmp_path / "phone.mp4", size=(64, 32), frames=3, rotation=90, sample_aspect=Fraction(3, 2)
    )
    pictures = list(upright(path, 2))
    assert [p.shape for p in pictures] == [(96, 32, 3)] * 2
    assert len(list(decoded(path, 9))) == 3


def test_a_degradation_depends_on_clip_and_seed() -> None:
    drawn = [draw_degradation(f"clip {i}", 24, 0) for i in range(40)]
    assert drawn == [draw_degradation(f"clip {i}", 24, 0) for i in range(40)]
    assert draw_degradation("clip 1", 24, 1) != draw_degradation("clip 1", 24, 0)
    assert {s.encoder for s in drawn} == set(QUALITIES)
    assert all(QUALITIES[s.encoder][0] <= s.quality <= QUALITIES[s.encoder][1] for s in drawn)
    assert 8 < sum(s.noise == 0 for s in drawn) < 32
    assert all(0 <= s.noise <= 0.03 for s in drawn)


def test_shrinking_averages_and_never_enlarges() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, :2] = (8, 40, 100)
    assert shrink(picture, (3, 2)).tolist()[0] == [[8, 40, 100], [0, 0, 0], [0, 0, 0]]
    assert shrink(picture, (12, 8)) is picture
    assert shrunk_size(1280, 721, 0.1) == (128, 72)


@pytest.mark.parametrize("encoder", sorted(QUALITIES))
def test_a_lower_quality_degrades_more(clip, encoder, tmp_path) -> None:
    truth = [cv2.resize(p, (80, 60), interpolation=cv2.INTER_AREA) for p in upright(clip.path, 8)]
    low, high = QUALITIES[encoder]
    errors, sizes = [], []
    for quality in (low, high + 8 if encoder == "mpeg4" else high):
        path = tmp_path / "far.mkv"
        write_degraded(clip, path, 8, (80, 60), ClipDegradation(encoder, quality, 0.0))
        degraded = list(upright(path, 99))
        assert [p.shape for p in degraded] == [(60, 80, 3)] * 8
        errors.append(
            np.mean(
                [np.abs(a - b.astype(float)).mean() for a, b in zip(degraded, truth, strict=True)]
            )
        )
        sizes.append(path.stat().st_size)
    assert 0.3 < errors[0] < errors[1] < 20
    assert sizes[1] < sizes[0]


def test_a_degraded_clip_is_reproducible_and_has_its_codec(clip, tmp_path) -> None:
    degradation = ClipDegradation("libx265", 30, 0.02)
    pictures = []
    for number, seed in enumerate((0, 0, 1)):
        path = tmp_path / f"{number}.mkv"
        write_degraded(clip, path, 4, (80, 60), degradation, seed)
        pictures.append(np.stack(list(upright(path, 9))))
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "hevc"
        assert file.streams.video[0].average_rate == 24


def test_noise_has_the_requested_strength(tmp_path) -> None:
    grey = Clip("grey", tmp_path / "grey.mkv")
    with av.open(str(grey.path), "w") as out:
        stream = out.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(2):
            white = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 255, np.uint8), "rgb24")
            out.mux(stream.encode(white.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    write_degraded(grey, tmp_path / "n.mkv", 2, (64, 64), ClipDegradation("mpeg4", 2, 0.1))
    luma = next(decoded(tmp_path / "n.mkv", 1)).components[0] / 219
    # Above white it is cut off: what is left is half a Gaussian, whose channels are averaged.
    assert 0.02 < luma.std() < 0.1
