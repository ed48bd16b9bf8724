"""The effect in small MLT projects, as Kdenlive and Shotcut use it."""

import subprocess
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from crsr_video.inspection import analysis
from crsr_video.plugins import frei0r
from tests.integration.plugins import clips
from tests.integration.plugins.conftest import environment, needs

pytestmark = [pytest.mark.plugins, needs("melt")]

FRAMES = 8

PROJECT = """<mlt>
  <profile width="{width}" height="{height}" progressive="1" frame_rate_num="25"
    frame_rate_den="1" sample_aspect_num="1" sample_aspect_den="1" display_aspect_num="{width}"
    display_aspect_den="{height}" colorspace="709"/>
  <producer id="clip" in="0" out="{last}"><property name="resource">{source}</property></producer>
  <playlist id="track"><entry producer="clip" in="0" out="{last}">{filters}</entry></playlist>
  <tractor id="project"><track producer="track"/></tractor>
</mlt>
"""


def effect_filter(**parameters):
    """Return the effect as XML of a project, with parameters by name."""
    told = "".join(f'<property name="{k}">{v}</property>' for k, v in parameters.items())
    return f'<filter><property name="mlt_service">frei0r.crsr</property>{told}</filter>'


def melt(words, env):
    """Run melt, and return its text on standard error.

    On a busy machine, melt sometimes misses the end of a short render and waits forever, also
    without the effect. It therefore gets a second attempt, with more time.
    """
    line = ["melt", *words, "an=1", "vcodec=ffv1", "terminate_on_pause=1"]
    env = env | {"QT_QPA_PLATFORM": "offscreen"}
    try:
        return clips.run(line, env=env, seconds=100.0).stderr
    except subprocess.TimeoutExpired:
        return clips.run(line, env=env).stderr


def rendered(tmp_path, source, env, filters, *, real_time=-1, count=FRAMES, size=(640, 360)):
    """Render a project, and return its frames."""
    project, output = tmp_path / "project.mlt", tmp_path / "rendered.mkv"
    width, height = size
    text = PROJECT.format(
        width=width, height=height, last=count - 1, source=source, filters=filters
    )
    project.write_text(text)
    line = [project, "-silent", "-consumer", f"avformat:{output}", "pix_fmt=yuv420p"]
    said = melt([*line, f"real_time={real_time}"], env)
    assert "crsr:" not in said, said
    frames = clips.read(output)
    assert len(frames) == count
    return frames


def changed(one, other):
    return np.stack([a[0] != b[0] for a, b in zip(one, other, strict=True)])


def equal(one, other):
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return all(np.array_equal(*pair) for pair in pairs)


@pytest.fixture
def source(tmp_path):
    return clips.write(tmp_path / "source.mkv", clips.portrait(FRAMES))


@pytest.fixture
def plain(tmp_path, source, effect):
    """Return frames that MLT converted to RGB and back, without enhancement."""
    return rendered(tmp_path, source, effect, effect_filter(strength=0))


def test_faces_are_changed_and_nothing_else(tmp_path, source, effect, plain):
    after = rendered(tmp_path, source, effect, effect_filter(strength=1))
    for now in changed(plain, after):
        assert 0.002 < now.mean() < 0.3
        columns = np.flatnonzero(now.any(0))
        assert columns[0] > 64 and columns[-1] < 576
    assert equal(after, rendered(tmp_path, source, effect, effect_filter(strength=1)))


def test_four_instances_in_turns_give_the_same(tmp_path, source, effect):
    one = rendered(tmp_path, source, effect, effect_filter(strength=1), real_time=-1)
    four = rendered(tmp_path, source, effect, effect_filter(strength=1), real_time=-4)
    assert equal(one, four)


def test_a_clip_that_is_entered_in_the_middle_gives_the_same_frames(tmp_path, source, effect):
    whole = rendered(tmp_path, source, effect, effect_filter(strength=1))
    project = (tmp_path / "project.mlt").read_text()
    later = project.replace('<entry producer="clip" in="0"', '<entry producer="clip" in="5"')
    (tmp_path / "later.mlt").write_text(later)
    line = [tmp_path / "later.mlt", "-silent", "-consumer", f"avformat:{tmp_path}/l.mkv"]
    melt([*line, "pix_fmt=yuv420p", "real_time=-1"], effect)
    assert equal(whole[5:], clips.read(tmp_path / "l.mkv"))


def test_parameters_go_by_kdenlive_s_names_and_shotcut_s_numbers(tmp_path, source, effect, plain):
    root = ElementTree.parse(frei0r.source_file(frei0r.KDENLIVE_DESCRIPTION)).getroot()
    named = {p.get("name"): p.get("default") for p in root.findall("parameter")}
    usual = rendered(tmp_path, source, effect, effect_filter(**named))
    assert equal(usual, rendered(tmp_path, source, effect, effect_filter()))
    for off in ({"strength": 0}, {"0": 0}, {"min_face": 1}, {"1": 1}):
        assert equal(plain, rendered(tmp_path, source, effect, effect_filter(**off)))
    for drawn in ({"compare": 1}, {"3": 1}, {"debug": 1}, {"4": 1}):
        assert not equal(usual, rendered(tmp_path, source, effect, effect_filter(**drawn)))


def test_keyframes_fade_the_strength(tmp_path, source, effect, plain):
    faded = effect_filter(strength=f"0=0;{FRAMES - 1}=1")
    moved = changed(plain, rendered(tmp_path, source, effect, faded)).mean((1, 2))
    assert moved[0] == 0 and moved[-1] > 0.002


def test_tracks_and_persons(tmp_path, source, effect, plain):
    tracks = analysis.analyse(source, tmp_path / "t.json").output
    after = rendered(tmp_path, source, effect, effect_filter(tracks=tracks))
    assert changed(plain, after)[-1].mean() > 0.002
    four = rendered(tmp_path, source, effect, effect_filter(tracks=tracks), real_time=-4)
    assert equal(after, four)
    for nobody in ("7", "1:off", "1:strength:0", "0=1=off"):  # MLT takes = for a keyframe's
        off = effect_filter(tracks=tracks, persons=nobody)
        assert equal(plain, rendered(tmp_path, source, effect, off))
    there = tracks.rename(tmp_path / "a=b.json")
    keyed = effect_filter(tracks=f"0={there}")
    assert equal(after, rendered(tmp_path, source, effect, keyed))


@pytest.mark.parametrize("size", [(326, 244), (720, 404), (854, 480), (1366, 768), (3840, 2160)])
def test_pictures_of_many_sizes_are_enhanced(tmp_path, size, effect):
    pictures = [clips.fitted(p, *size) for p in clips.portrait(2)]
    source = clips.write(tmp_path / "a.mkv", pictures)
    shape = {"count": 2, "size": size}
    plain = rendered(tmp_path, source, effect, effect_filter(strength=0), **shape)
    after = rendered(tmp_path, source, effect, effect_filter(), **shape)
    for now in changed(plain, after):
        assert 0.002 < now.mean() < 0.3
        columns = np.flatnonzero(now.any(0)) / size[0]
        assert columns[0] > 0.1 and columns[-1] < 0.9


def test_without_a_server_the_project_renders_all_the_same(tmp_path, source, built):
    env = environment(built, tmp_path / "s", start="false")
    project, output = tmp_path / "p.mlt", tmp_path / "o.mkv"
    shape = {"width": 640, "height": 360, "last": FRAMES - 1, "source": source}
    project.write_text(PROJECT.format(**shape, filters=effect_filter()))
    said = melt([project, "-silent", "-consumer", f"avformat:{output}", "real_time=-1"], env)
    assert len(clips.read(output)) == FRAMES
    told = sum("frames pass unchanged" in line for line in said.splitlines())
    assert 1 <= told < FRAMES  # not for every frame: once in some seconds
