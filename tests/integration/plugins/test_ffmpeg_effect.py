"""The effect in FFmpeg, with the shipped networks."""

import shlex
import subprocess
import time

import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.inspection import analysis
from tests.integration.plugins import clips
from tests.integration.plugins.conftest import Served, environment, needs

pytestmark = [pytest.mark.plugins, needs("ffmpeg")]

FRAMES = 8


def numbered(count, width=640, height=360):
    """Return pictures of a face, each with its number as a shade of gray in a corner."""
    pictures = [clips.fitted(p, width, height) for p in clips.portrait(count)]
    for number, picture in enumerate(pictures):
        picture[:16, :16] = 40 + 3 * number
    return pictures


def words(source, output, *options):
    """Return the words of the command that `ffmpeg-args` prints, with a lossless encoder."""
    asked = ["ffmpeg-args", source, "-o", output, "--codec", "ffv1", *options]
    done = CliRunner().invoke(main, [str(word) for word in asked])
    assert done.exit_code == 0, done.stderr
    return ["ffmpeg", "-v", "error", "-y", *shlex.split(done.stdout)[1:]]


def enhanced(source, output, env, *options):
    """Run that command; return the frames of the result and the text on standard error."""
    done = clips.run(words(source, output, *options), env=env)
    return clips.read(output), done.stderr


@pytest.fixture
def nobody(built):
    """Environment without a server, where the effect returns each frame unchanged."""
    return environment(built, "/nonexistent/s")


@pytest.fixture
def source(tmp_path):
    return clips.write(tmp_path / "source.mkv", numbered(FRAMES), pix_fmt="yuv444p")


def differs(one, other):
    """Return a mask of the pixels in which two frames differ in luma."""
    return one[0] != other[0]


def numbers(frames):
    return [round((frame[0][4:12, 4:12].mean() - 16) / 219 * 255) for frame in frames]


def check(before, plain, after):
    """Check that every frame is there, in order, and that only its face was changed.

    Args: plain: what FFmpeg's conversion alone makes of the source.
    """
    assert len(before) == len(plain) == len(after)
    assert np.allclose(numbers(after), numbers(before), atol=2)
    assert clips.psnr(before, plain) > 45
    for one, other in zip(plain, after, strict=True):
        changed = differs(one, other)
        assert changed.mean() > 0.002, "no face was changed"
        rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
        height, width = changed.shape
        # The portrait's face: the middle of the picture; around it not a code differs.
        assert rows[0] > 0.02 * height and columns[0] > 0.1 * width
        assert columns[-1] < 0.9 * width


def test_faces_are_changed_and_nothing_else(tmp_path, source, effect, nobody):
    plain, _ = enhanced(source, tmp_path / "plain.mkv", nobody)
    after, said = enhanced(source, tmp_path / "after.mkv", effect)
    assert said == ""
    check(clips.read(source), plain, after)
    again, _ = enhanced(source, tmp_path / "again.mkv", effect)
    assert all(
        np.array_equal(*pair)
        for a, b in zip(after, again, strict=True)
        for pair in zip(a, b, strict=True)
    )
    half, _ = enhanced(source, tmp_path / "half.mkv", effect, "--strength", "0.5")
    moved = [np.abs(frame[-1][0] - plain[-1][0]).sum() for frame in (half, after)]
    assert 0.3 < moved[0] / moved[1] < 0.7
    none, _ = enhanced(source, tmp_path / "none.mkv", effect, "--strength", "0")
    assert not any(differs(*pair).any() for pair in zip(none, plain, strict=True))


def test_the_short_form_works(tmp_path, source, effect):
    short = ["ffmpeg", "-v", "error", "-i", source, "-vf", "frei0r=crsr:0.8", tmp_path / "o.mp4"]
    assert clips.run(short, env=effect).stderr == ""
    assert len(clips.read(tmp_path / "o.mp4")) == FRAMES


@pytest.mark.parametrize("size", [(326, 244), (854, 480), (1366, 768)])
def test_the_short_form_is_right_where_ffmpeg_pads_rows(tmp_path, size, effect, nobody):
    """Outside the face, nothing differs from FFmpeg's conversion alone."""
    source = clips.write(tmp_path / "a.mkv", numbered(3, *size), pix_fmt="yuv444p")

    def made(name, chain, env):
        words = ["ffmpeg", "-v", "error", "-i", source, "-vf", chain, "-c:v", "ffv1"]
        said = clips.run([*words, tmp_path / name], env=env).stderr
        return clips.read(tmp_path / name), said

    plain, _ = made("plain.mkv", "format=rgba,format=yuv444p", effect)
    passed, _ = made("passed.mkv", "frei0r=crsr,format=yuv444p", nobody)
    assert not any(differs(*pair).any() for pair in zip(passed, plain, strict=True))
    after, said = made("after.mkv", "frei0r=crsr,format=yuv444p", effect)
    assert said == ""
    check(plain, plain, after)


def test_compare_and_debug_are_drawn(tmp_path, source, effect):
    after, _ = enhanced(source, tmp_path / "a.mkv", effect)
    for option in ("--compare", "--debug"):
        drawn, _ = enhanced(source, tmp_path / "b.mkv", effect, option)
        assert differs(drawn[-1], after[-1]).sum() > 100


@pytest.mark.parametrize("size", [(326, 244), (720, 404), (854, 480), (1366, 768), (3840, 2160)])
def test_pictures_of_many_sizes_are_enhanced(tmp_path, size, effect, nobody):
    count = 2 if size[0] > 2000 else 3
    source = clips.write(tmp_path / "a.mkv", numbered(count, *size))
    plain, _ = enhanced(source, tmp_path / "plain.mkv", nobody)
    after, said = enhanced(source, tmp_path / "after.mkv", effect)
    assert said == ""
    check(clips.read(source), plain, after)


def test_two_at_once_are_as_each_alone(tmp_path, source, effect):
    other = clips.write(tmp_path / "other.mkv", [p[:, ::-1] for p in numbered(FRAMES)])
    sources = (source, other)
    alone = [enhanced(s, tmp_path / f"alone{n}.mkv", effect)[0] for n, s in enumerate(sources)]
    outputs = [tmp_path / f"both{n}.mkv" for n in range(2)]
    running = [
        subprocess.Popen(
            [str(word) for word in words(s, o)],
            env=effect,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for s, o in zip(sources, outputs, strict=True)
    ]
    for process in running:
        assert process.communicate(timeout=clips.SECONDS)[1] == b""
        assert process.returncode == 0
    for one, path in zip(alone, outputs, strict=True):
        both = clips.read(path)
        assert len(both) == FRAMES
        assert not any(differs(*pair).any() for pair in zip(one, both, strict=True))


def test_two_instances_in_one_program(tmp_path, source, effect):
    chain = "split[a][b];[a]frei0r=crsr[x];[b]frei0r=crsr:0.5[y];[x][y]hstack"
    line = ["ffmpeg", "-v", "error", "-i", source, "-filter_complex", chain, "-c:v", "ffv1"]
    assert clips.run([*line, tmp_path / "o.mkv"], env=effect).stderr == ""
    after = clips.read(tmp_path / "o.mkv")
    assert len(after) == FRAMES and after[0][0].shape == (360, 1280)
    left, right = after[-1][0][:, :640], after[-1][0][:, 640:]
    assert 0.002 < (left != right).mean() < 0.3


def test_tracks_and_persons(tmp_path, source, effect, nobody):
    tracks = analysis.analyse(source, tmp_path / "t.json").output
    plain, _ = enhanced(source, tmp_path / "plain.mkv", nobody)
    after, _ = enhanced(source, tmp_path / "after.mkv", effect, "--tracks", tracks)
    check(clips.read(source), plain, after)
    for persons, changes in (("1", True), ("1=off", False), ("7", False)):
        options = ("--tracks", tracks, "--persons", persons)
        frames, _ = enhanced(source, tmp_path / "persons.mkv", effect, *options)
        assert any(differs(*p).any() for p in zip(frames, plain, strict=True)) == changes


def test_without_a_server_frames_pass_with_one_line(tmp_path, source, built):
    env = environment(built, tmp_path / "s", start="false")
    before = time.monotonic()
    after, said = enhanced(source, tmp_path / "after.mkv", env)
    assert time.monotonic() - before < 30
    assert clips.psnr(clips.read(source), after) > 45
    assert 1 <= len(said.splitlines()) < FRAMES and "frames pass unchanged" in said


def test_a_killed_server_costs_frames_their_enhancement_and_comes_back(tmp_path, built, program):
    count = 60
    source = clips.write(tmp_path / "a.mkv", numbered(count, 320, 180), rate=10)
    plain = clips.read(source)
    with Served(program) as served:
        served.wait()
        env = environment(built, served.socket, start=str(program))
        line = words(source, tmp_path / "b.mkv")
        line.insert(line.index("-i"), "-re")  # at its own pace, so that there is a middle
        process = subprocess.Popen(
            [str(word) for word in line],
            env=env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(2.0)
        served.kill()
        said = process.communicate(timeout=clips.SECONDS)[1]
        assert process.returncode == 0
        assert "frames pass unchanged" in said and "enhanced again" in said
    after = clips.read(tmp_path / "b.mkv")
    assert len(after) == count and np.allclose(numbers(after), numbers(plain), atol=2)
    # A face is changed by more than conversion does.
    moved = [np.abs(a[0] - b[0]).max() > 6 for a, b in zip(after, plain, strict=True)]
    assert moved[3] and moved[-1] and not all(moved)
