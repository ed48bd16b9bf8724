"""The command that ffmpeg-args prints runs, and keeps the properties of a video."""

import os
import shlex
import shutil
import subprocess

import av
import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.io import picture_properties, pyav
from crsr_video.plugins.ffmpeg_filters import EffectParameters, effect_filter
from crsr_video.track import tracks_file
from tests.integration.plugins import clips
from tests.integration.plugins.conftest import needs
from tests.support.paths import PORTRAIT
from tests.support.tracks_files import recording
from tests.support.video import make_video

pytestmark = needs("ffmpeg")


@pytest.fixture(autouse=True)
def effect_s_folder(built, monkeypatch):
    monkeypatch.setenv("FREI0R_PATH", str(built))
    monkeypatch.setenv("CRSR_SOCKET", "/nonexistent/crsr.sock")
    monkeypatch.setenv("CRSR_SERVER", "")  # none is started: the effect does nothing


def args(*words):
    done = CliRunner().invoke(main, ["ffmpeg-args", *(str(word) for word in words)])
    assert done.exit_code == 0, done.stderr
    return done


def obey(printed):
    """Run the printed command in a shell, as a user would."""
    done = subprocess.run(
        ["sh", "-c", printed.replace("ffmpeg ", "ffmpeg -v error -nostdin -y ", 1)],
        capture_output=True,
        text=True,
        timeout=clips.SECONDS,
    )
    assert done.returncode == 0, done.stderr


def no_op(source, output, *words):
    obey(args(source, "-o", output, "--strength", "0", *words).stdout)


def tags(path):
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        return frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc


KINDS = [(s, m, f) for s in ("420", "422", "444") for m in ("bt601", "bt709") for f in (0, 1)]
"""Sampling, matrix, and whether the range is full."""
TRIED_ALWAYS = [("420", "bt709", 0), ("444", "bt601", 1)]


@pytest.mark.parametrize(
    ("sampling", "matrix", "full"),
    [pytest.param(*k, marks=() if k in TRIED_ALWAYS else pytest.mark.plugins) for k in KINDS],
)
def test_a_no_op_leaves_pictures_and_tags_alone(tmp_path, sampling, matrix, full):
    pix_fmt = f"yuv{sampling}p"
    source = clips.write(
        tmp_path / "a.mkv", clips.portrait(2), pix_fmt=pix_fmt, matrix=matrix, full=full
    )
    no_op(source, tmp_path / "b.mkv", "--codec", "ffv1")
    assert clips.psnr(clips.read(source), clips.read(tmp_path / "b.mkv")) > 50
    assert tags(tmp_path / "b.mkv") == tags(source)


def test_without_the_chain_a_no_op_harms(tmp_path):
    """FFmpeg's own conversion is worse, so the test above can fail."""
    source = clips.write(tmp_path / "a.mkv", clips.portrait(2), pix_fmt="yuv420p", full=True)
    words = ["ffmpeg", "-v", "error", "-i", source, "-vf", "frei0r=crsr:0", "-c:v", "ffv1"]
    clips.run([*words, "-pix_fmt", "yuv420p", tmp_path / "b.mkv"])
    assert clips.psnr(clips.read(source), clips.read(tmp_path / "b.mkv")) < 45


@pytest.mark.parametrize(
    "width", [854, *(pytest.param(w, marks=pytest.mark.plugins) for w in (326, 720, 1366))]
)
def test_widths_of_every_kind(tmp_path, width):
    pictures = [clips.fitted(p, width, 180) for p in clips.portrait(2)]
    source = clips.write(tmp_path / "a.mkv", pictures)
    no_op(source, tmp_path / "b.mkv", "--codec", "ffv1")
    assert clips.psnr(clips.read(source), clips.read(tmp_path / "b.mkv")) > 50


@pytest.mark.parametrize("pix_fmt", ["bgra", "gray"])
def test_gray_and_rgb_are_kept(tmp_path, pix_fmt):
    source = make_video(tmp_path / "a.mkv", codec="ffv1", pix_fmt=pix_fmt, frames=3)
    no_op(source, tmp_path / "b.mkv", "--codec", "ffv1")
    assert clips.psnr(clips.read(source), clips.read(tmp_path / "b.mkv")) > 60


def test_transparency_stays(tmp_path):
    source = make_video(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuva420p", frames=3)
    no_op(source, tmp_path / "b.mkv", "--codec", "ffv1")
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv")) as other:
        for a, b in zip(one.decode(video=0), other.decode(video=0), strict=True):
            assert b.format.name == "yuva420p"
            before, after = (pyav.views(f, alpha=True)[-1].astype(int) for f in (a, b))
            assert np.abs(before - after).max() <= 1  # as FFmpeg rounds


def test_times_audio_and_titles_come_along(tmp_path):
    source = make_video(
        tmp_path / "a.mp4",
        size=(320, 180),
        frames=5,
        rate=25,
        pts=[0, 512, 900, 2300, 2500],
        time_base=clips.Fraction(1, 12800),
        audio=2,
        subtitle=True,
        chapters=True,
        metadata={"title": "A title"},
        colour=(1, 1, 1, 1),
    )
    no_op(source, tmp_path / "b.mp4", "--preset", "ultrafast")
    assert clips.times(tmp_path / "b.mp4") == pytest.approx(clips.times(source), abs=1e-9)
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mp4")) as other:
        assert [s.type for s in other.streams] == [s.type for s in one.streams]
        assert [s.metadata.get("language") for s in other.streams][1:3] == ["eng", "deu"]
        assert other.metadata["title"] == "A title"
        assert len(other.chapters()) == 2
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mp4")) as other:
        sounds = [
            [bytes(p) for p in file.demux(file.streams.audio[1]) if p.size] for file in (one, other)
        ]
    assert sounds[0] == sounds[1]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_picture_is_turned_back_and_keeps_its_matrix(tmp_path, rotation):
    pictures = [clips.fitted(p, 320, 180) for p in clips.portrait(2)]
    upright = clips.write(tmp_path / "a.mkv", pictures)
    source = tmp_path / "turned.mp4"
    with av.open(str(upright)) as one, av.open(str(source), "w") as other:
        stream = other.add_stream("libx264", 25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        stream.set_display_rotation(rotation)
        for frame in one.decode(video=0):
            other.mux(stream.encode(frame))
        other.mux(stream.encode(None))
    printed = args(source, "-o", tmp_path / "b.mp4", "--strength", "0", "--crf", "0").stdout
    assert "-noautorotate" in printed and printed.count("," if rotation == 180 else "transpose") > 1
    obey(printed)
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mp4")) as other:
        a, b = next(one.decode(video=0)), next(other.decode(video=0))
        assert (b.width, b.height, b.rotation) == (a.width, a.height, a.rotation)
        assert a.rotation % 360 == rotation % 360 or a.rotation % 360 == -rotation % 360
    assert clips.psnr(clips.read(source), clips.read(tmp_path / "b.mp4")) > 45


def test_interlaced_pictures_stay_so(tmp_path):
    source = tmp_path / "a.mkv"
    words = ["ffmpeg", "-v", "error", "-i", PORTRAIT, "-frames:v", "3", "-an", "-vf"]
    fields = "tinterlace=interleave_top,fieldorder=tff,setparams=colorspace=bt709:range=tv"
    encoder = ["-c:v", "libx264", "-qp", "0", "-flags", "+ildct+ilme"]
    clips.run([*words, fields, *encoder, source])
    done = args(source, "-o", tmp_path / "b.mkv", "--strength", "0", "--crf", "0")
    assert "interl=1" in done.stdout and "fields" in done.stderr
    obey(done.stdout)
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv")) as other:
        a, b = next(one.decode(video=0)), next(other.decode(video=0))
        assert a.interlaced_frame and b.interlaced_frame
        assert picture_properties.field_order(a) == picture_properties.field_order(b) == "top"
    assert clips.psnr(clips.read(source), clips.read(tmp_path / "b.mkv")) > 45


def test_high_bit_depths_are_reported(tmp_path):
    source = make_video(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p10le", frames=2)
    done = args(source, "-o", tmp_path / "b.mkv", "--strength", "0")
    assert "gets 8 bits per sample, and this video has 10: --pipe" in done.stderr
    obey(done.stdout)
    with av.open(str(tmp_path / "b.mkv")) as file:
        assert next(file.decode(video=0)).format.name == "yuv420p10le"


def test_strange_names_survive_shell_and_filters(tmp_path):
    folder = tmp_path / "it's: a [strange], folder; with \\ and | and $HOME "
    folder.mkdir()
    source = clips.write(folder / "-a.mkv", clips.portrait(1))
    tracks = folder / "the tracks' file.json "
    tracks_file.write(recording(), tracks)
    no_op(source, folder / "b.mkv", "--tracks", tracks, "--codec", "ffv1")
    assert len(clips.read(folder / "b.mkv")) == 1


def test_only_unusual_parameters_are_printed():
    assert effect_filter(EffectParameters(strength=0.8)) == "frei0r=crsr:0.8"
    assert effect_filter(EffectParameters(debug=True)) == "frei0r=crsr:1|0.0625|fast|n|y"


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "sound", "itself", "folder"])
def test_bad_input_is_told_in_a_line(tmp_path, kind):
    source, output = tmp_path / "a.mp4", tmp_path / "b.mp4"
    if kind == "empty":
        source.touch()
    elif kind == "text":
        source.write_text("no video at all, only text\n" * 20)
    elif kind == "sound":
        source = tmp_path / "a.wav"
        clips.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=0.1", source])
    elif kind == "itself":
        shutil.copy(PORTRAIT, source)
        output = source
    elif kind == "folder":
        source.mkdir()
    done = CliRunner().invoke(main, ["ffmpeg-args", str(source), "-o", str(output)])
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith("crsr-video: error: ") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value", "told", "code"),
    [
        ("--strength", "nan", "'nan' is not a number: use a number such as 0.6 or 60%", 2),
        ("--min-face", "nan", "'nan' is not a number: use a number such as 20 (pixels)", 2),
        ("--persons", "1;x", "persons: invalid track ID 'x'", 2),
        ("--persons", "1\n2", "--persons must be one line", 2),
        ("--model", "nope", "unknown model 'nope'", 1),
        ("--model", "nope.safetensors", "nope.safetensors: no such file", 2),
        ("--tracks", __file__, "not a valid JSON object", 1),
    ],
)
def test_settings_that_the_server_refuses_are_refused_at_once(option, value, told, code):
    done = CliRunner().invoke(main, ["ffmpeg-args", str(PORTRAIT), option, value])
    assert done.exit_code == code and done.stdout == ""
    assert told in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_pipe_takes_no_options_of_the_effect(tmp_path):
    source = shutil.copy(PORTRAIT, tmp_path / "a.mp4")
    for option in ("--compare", "--debug"):
        done = CliRunner().invoke(main, ["ffmpeg-args", str(source), "--pipe", option])
        assert done.exit_code == 2 and f"{option} works only with the effect" in done.stderr
    printed = args(source, "--pipe", "--strength", "0.5").stdout
    parts = [shlex.split(part) for part in printed.split(" | ")]
    assert [part[0] for part in parts] == ["ffmpeg", "crsr-video", "ffmpeg"]
    assert parts[1][1:] == ["enhance", "-", "-o", "-", "--strength", "0.5"]


def test_a_missing_ffmpeg_is_no_failure(tmp_path, monkeypatch):
    source = shutil.copy(PORTRAIT, tmp_path / "a.mp4")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    done = args(source)
    assert done.stdout.startswith("ffmpeg -i") and "there is no ffmpeg" in done.stderr
