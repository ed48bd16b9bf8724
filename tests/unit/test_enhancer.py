from pathlib import Path

import av
import numpy as np
import pytest

import crsr_video
from crsr_video import Config, CrsrError, Enhancer, OutputSettings, ReadSettings
from crsr_video.errors import ConfigError
from tests.support.paths import CLIPS

FAST = OutputSettings(preset="ultrafast")


def frames(name: str, count: int) -> list[av.VideoFrame]:
    with av.open(str(CLIPS / name)) as file:
        return [frame for _, frame in zip(range(count), file.decode(video=0), strict=False)]


def times(path: Path) -> list[object]:
    with av.open(str(path)) as file:
        return [frame.pts * frame.time_base for frame in file.decode(video=0)]


def audio(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def test_a_variable_frame_rate_and_the_sound_survive(tmp_path: Path) -> None:
    source, output = CLIPS / "phone_vfr.mp4", tmp_path / "out.mp4"
    seen: list[crsr_video.Progress] = []
    config = Config.from_options(model="identity", output=FAST)
    summary = crsr_video.enhance(source, output, config=config, on_progress=seen.append)
    assert times(output) == times(source)
    assert audio(output) == audio(source)
    assert summary.statistics.frames == len(seen) == len(times(source))
    assert summary.statistics.tracks == 1
    assert not summary.truncated


def test_a_cut_starts_new_tracks(tmp_path: Path) -> None:
    config = Config.from_options(model="identity", start=1.6, duration=0.8, output=FAST)
    summary = crsr_video.enhance(CLIPS / "two_faces_cut.mp4", tmp_path / "out.mp4", config=config)
    assert summary.statistics.cuts == 2  # the beginning counts as one
    assert summary.statistics.tracks == 3


def test_arrays_come_back_as_arrays_and_faces_change() -> None:
    pictures = [frame.to_ndarray(format="rgb24") for frame in frames("portrait.mp4", 20)]
    copies = [picture.copy() for picture in pictures]
    with Enhancer() as enhancer:
        results = list(enhancer.enhance(iter(pictures)))
        assert enhancer.lookahead < 40
        assert enhancer.statistics.enhanced == 20
    assert len(results) == 20
    for before, copy, after in zip(pictures, copies, results, strict=True):
        assert after.shape == before.shape
        assert after.dtype == np.uint8
        np.testing.assert_array_equal(before, copy)  # the caller's memory is not written to
        np.testing.assert_array_equal(after[-60:], before[-60:])
        assert np.abs(after.astype(int) - before).max() > 3


def test_av_frames_come_back_in_their_format_with_their_times() -> None:
    pictures = frames("portrait.mp4", 12)
    with Enhancer(Config.from_options(model="identity"), live=True) as enhancer:
        for picture in pictures:
            (result,) = enhancer.push(picture)
            assert isinstance(result, av.VideoFrame)
            assert (result.format.name, result.pts) == (picture.format.name, picture.pts)
        assert enhancer.flush() == []


def test_strength_zero_changes_nothing() -> None:
    pictures = [frame.to_ndarray(format="rgb24") for frame in frames("portrait.mp4", 10)]
    with Enhancer(Config.from_options(strength=0)) as enhancer:
        for before, after in zip(pictures, enhancer.enhance(pictures), strict=True):
            np.testing.assert_array_equal(before, after)


def test_a_still_face_gives_a_still_result() -> None:
    picture = frames("portrait.mp4", 1)[0].to_ndarray(format="rgb24")
    with Enhancer(region="face") as enhancer:
        results = list(enhancer.enhance([picture] * 24))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize(("texture", "most", "share"), [(0.0, 5, 1e-4), (0.75, 8, 2e-4)])
def test_a_still_head_gives_a_result_that_is_still_to_the_eye(
    texture: float, most: int, share: float
) -> None:
    # The networks see the whole head in some frames and the face alone in others.
    picture = frames("portrait.mp4", 1)[0].to_ndarray(format="rgb24")
    with Enhancer(region="head", texture=texture) as enhancer:
        results = [result.astype(int) for result in enhancer.enhance([picture] * 24)]
    for result in results[1:]:
        change = np.abs(result - results[0])
        assert change.max() <= most
        assert (change > 2).mean() < share


def test_reset_forgets() -> None:
    pictures = [frame.to_ndarray(format="rgb24") for frame in frames("portrait.mp4", 6)]
    with Enhancer(Config.from_options(model="identity")) as enhancer:
        list(enhancer.enhance(pictures))
        enhancer.reset()
        assert len(list(enhancer.enhance(pictures))) == 6


@pytest.mark.parametrize("nonsense", [np.zeros((4, 4)), np.zeros((4, 4, 3)), "frame", None])
def test_values_that_are_no_frames_are_refused(nonsense: object) -> None:
    with (
        Enhancer(Config.from_options(model="identity")) as enhancer,
        pytest.raises(ValueError, match=r"frame|picture"),
    ):
        enhancer.push(nonsense)


def test_a_closed_enhancer_says_so() -> None:
    with Enhancer(Config.from_options(model="identity")) as enhancer:
        pass
    with pytest.raises(ValueError, match="closed"):
        enhancer.push(np.zeros((48, 64, 3), np.uint8))


def test_errors_are_of_one_family(tmp_path: Path) -> None:
    with pytest.raises(CrsrError):
        crsr_video.enhance(tmp_path / "gone.mp4")
    with pytest.raises(CrsrError):
        Config.from_options(strength=2)


@pytest.mark.parametrize(
    ("options", "group"),
    [
        ({"overwrite": True}, "job"),
        ({"start": 1.0}, "job"),
        ({"output": OutputSettings(crf=20)}, "output"),
        ({"reading": ReadSettings(hwaccel="auto")}, "reading"),
    ],
    ids=str,
)
def test_an_enhancer_refuses_settings_of_files(options: dict[str, object], group: str) -> None:
    with pytest.raises(ConfigError, match=f"`{group}` has settings of files"):
        Enhancer(Config.from_options(model="identity", **options))


def test_an_enhancer_takes_a_configuration_whose_file_settings_are_the_defaults() -> None:
    with Enhancer(Config.from_options(model="identity", strength=0.5)) as enhancer:
        assert enhancer.statistics.frames == 0
