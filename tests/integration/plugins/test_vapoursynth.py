"""The filter for VapourSynth, under vspipe and with frames requested in different orders."""

import os
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.errors import ConfigError, TracksError
from crsr_video.inspection import analysis
from crsr_video.pipeline import Pipeline
from crsr_video.stages.base import Stage
from crsr_video.types import Frame, TrackedFrame
from tests.integration.plugins import clips
from tests.integration.plugins.conftest import ROOT

pytestmark = pytest.mark.usefixtures("face_models")

vs = pytest.importorskip("vapoursynth")
from crsr_video.plugins import vapoursynth as plugin  # noqa: E402 - needs vs

FRAMES = 10
FORMATS = {"yuv420p10le": "YUV420P10", "yuv420p": "YUV420P8", "gbrp": "RGB24"}

SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {module!r}]
import vapoursynth as vs
import crsr
from tests.integration.plugins import vs_source
clip = vs_source.portrait({pix_fmt!r}, {frames})
crsr.Enhance(clip, 1.0, **{options!r}).set_output()
"""


def portrait(pix_fmt="yuv420p10le", frames=FRAMES):
    from tests.integration.plugins import vs_source

    return vs_source.portrait(pix_fmt, frames)


def planes(frame):
    return [np.array(plane) for plane in frame]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Stamp(Stage):
    """A stage that writes into each frame its number and the count of frames since the reset."""

    def __init__(self):
        self.seen = []

    def push(self, item):
        self.seen.append(item.pts)
        codes = tuple(np.full_like(plane, len(self.seen) % 256) for plane in item.components)
        return [item.with_components(codes)]

    def reset(self):
        self.seen.append("reset")


class Untracked(Stage):
    """A first stage that finds no faces."""

    def push(self, item):
        return [TrackedFrame(item)]


class Idle(Untracked):
    """A stage that does nothing."""

    def push(self, item):
        return [item]


class Bare(Stage):
    """A last stage that returns the frame."""

    def __init__(self, stamp):
        self.stamp = stamp

    def push(self, item):
        return self.stamp.push(item.frame)

    def reset(self):
        self.stamp.reset()


def stamped(clip, stamp, **options):
    stages = [("track", Untracked()), ("noting", Idle()), ("paste", Bare(stamp))]
    return plugin.enhance(clip, make=lambda _: Pipeline(stages), **options)


def blank(length=40, **options):
    given = {"width": 64, "height": 48, "format": vs.YUV420P8, "length": length}
    return vs.core.std.BlankClip(**(given | options))


def test_vspipe_enhances_at_full_depth(tmp_path):
    script = tmp_path / "script.vpy"
    script.write_text(
        SCRIPT.format(
            root=str(ROOT),
            module=str(ROOT / "plugins/vapoursynth"),
            pix_fmt="yuv420p10le",
            frames=FRAMES,
            options={},
        )
    )
    tools = Path(sys.executable).parent
    env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "PATH": f"{tools}:{os.environ['PATH']}"}
    if (tools / "vapoursynth").exists():
        clips.run([tools / "vapoursynth", "config"], env=env)
    program = shutil.which("vspipe", path=env["PATH"])
    assert program is not None
    clips.run([program, "-c", "y4m", script, tmp_path / "out.y4m"], env=env)
    after = clips.read(tmp_path / "out.y4m")
    before = [[p.astype(int) for p in planes(f)] for f in portrait().frames()]
    assert len(after) == FRAMES
    with av.open(str(tmp_path / "out.y4m")) as file:
        assert next(file.decode(video=0)).format.name == "yuv420p10le"
    changed = np.stack([a[0] != b[0] for a, b in zip(after, before, strict=True)])
    for now in changed:
        assert 500 < now.sum() < now.size / 3
    assert not changed[:, :20].any() and not changed[:, -20:].any()  # outside: to the bit
    fine = np.concatenate([a[0][c] for a, c in zip(after, changed, strict=True)])
    assert len(set(fine % 4)) == 4  # the lowest bits are no padding


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "gbrp"])
def test_other_formats_are_enhanced(pix_fmt):
    clip = portrait(pix_fmt, 3)
    assert clip.format.name == FORMATS[pix_fmt]
    done = plugin.enhance(clip)
    assert done.format.id == clip.format.id and done.num_frames == 3
    before, after = planes(clip.get_frame(2)), planes(done.get_frame(2))
    assert not same(before, after)
    assert same([p[:20] for p in before], [p[:20] for p in after])


def test_strength_zero_gives_the_frames_back():
    clip = portrait("yuv420p", 3)
    for one, other in zip(clip.frames(), plugin.enhance(clip, strength=0.0).frames(), strict=True):
        assert same(planes(one), planes(other))


def test_order_and_threads_do_not_matter_to_the_picture():
    """All frames are requested at once, as several threads do, and then one far away."""
    clip = portrait("yuv420p", 6)
    straight = [planes(f) for f in plugin.enhance(clip, warm_up=6).frames()]
    mixed = plugin.enhance(clip, warm_up=6)
    with ThreadPoolExecutor(4) as threads:
        order = [3, 0, 5, 1, 2, 4]
        given = threads.map(lambda n: planes(mixed.get_frame(n)), order)
        found = dict(zip(order, given, strict=True))
    assert all(same(straight[n], found[n]) for n in order)
    leapt = planes(plugin.enhance(clip, warm_up=6).get_frame(5))
    assert same(straight[5], leapt)


def test_every_frame_goes_through_once_and_in_order():
    stamp = Stamp()
    # A frame that repeats the one before it would get the same result.
    different = vs.core.std.Splice([blank(1, color=[n, 128, 128]) for n in range(40)])
    clip = stamped(different, stamp)
    for n, frame in enumerate(clip.frames(close=True)):  # several are asked for at a time
        assert np.asarray(frame[0])[0, 0] == n + 1
    assert stamp.seen == list(range(40))


def test_a_leap_begins_some_frames_earlier():
    stamp = Stamp()
    clip = stamped(blank(400), stamp, warm_up=3)
    for n in (0, 1, 200, 201, 105):
        clip.get_frame(n).close()
    leaps = ["reset", 197, 198, 199, 200, 201, "reset", 102, 103, 104, 105]
    assert stamp.seen == [0, 1, *leaps]


@pytest.mark.parametrize("warm_up", [0, 8, 500])
def test_warm_ups_of_any_length_are_processed(warm_up):
    stamp = Stamp()
    stamped(blank(400), stamp, warm_up=warm_up).get_frame(399).close()
    begin = max(0, 399 - warm_up)
    assert stamp.seen == [*(["reset"] if begin else []), *range(begin, 400)]


class Look(Bare):
    """Stand-in that stores its arguments."""

    def push(self, item):
        self.stamp.append(item.frame)
        return [item.frame]

    def reset(self):
        pass


def looked(clip):
    """Return the first frame as the pipeline gets it."""
    seen: list[Frame] = []
    stages = [("track", Untracked()), ("noting", Idle()), ("paste", Look(seen))]
    plugin.enhance(clip, make=lambda _: Pipeline(stages)).get_frame(0).close()
    return seen[0]


def test_properties_of_frames_are_used():
    plain = looked(blank(width=1280, height=720))
    assert (plain.layout.matrix, plain.layout.full_range) == ("bt709", False)
    assert plain.interlaced == "progressive" and plain.sample_aspect == 1
    props = {"_Matrix": 9, "_Range": 1, "_ChromaLocation": 2, "_SARNum": 64, "_SARDen": 45}
    told = looked(blank(format=vs.YUV422P16).std.SetFrameProps(**props))
    assert told.layout.matrix == "bt2020" and told.layout.full_range and told.layout.y_cosited
    assert (told.layout.bits, told.layout.x_shift, told.layout.y_shift) == (16, 1, 0)
    assert told.sample_aspect == Fraction(64, 45)
    with warnings.catch_warnings():  # a name of older versions
        warnings.simplefilter("ignore", DeprecationWarning)
        old = blank().std.SetFrameProps(_ColorRange=0)
    assert looked(old).layout.full_range
    assert looked(blank()).layout.matrix == "bt601"
    assert looked(blank(format=vs.RGB30)).layout.full_range


def test_fields_are_distinguished():
    woven = portrait("yuv420p", 2).std.SetFrameProps(_FieldBased=2)
    assert planes(plugin.enhance(woven).get_frame(1))[0].shape == (360, 640)
    seen = []
    stages = [("track", Untracked()), ("noting", Idle()), ("paste", Look(seen))]
    plugin.enhance(woven, make=lambda _: Pipeline(stages)).get_frame(0).close()
    assert [(f.height, f.is_second_field) for f in seen] == [(180, False), (180, True)]
    assert seen[0].interlaced_frame.interlaced == "top"


def test_analysed_faces_are_taken(tmp_path):
    source = clips.write(tmp_path / "a.mkv", clips.portrait(4))
    tracks = analysis.analyse(source, tmp_path / "t.json").output
    clip = portrait("yuv420p", 4)
    done = plugin.enhance(clip, tracks=str(tracks))
    assert not same(planes(done.get_frame(3)), planes(clip.get_frame(3)))
    nobody = plugin.enhance(clip, tracks=tracks, only=[77])
    assert same(planes(nobody.get_frame(3)), planes(clip.get_frame(3)))
    with pytest.raises(TracksError, match="number of frames is 4 there and 3 here"):
        plugin.enhance(clip[:3], tracks=tracks)


@pytest.mark.parametrize(
    ("clip", "options", "told"),
    [
        ({"format": vs.YUV444PS}, {}, "must be integers"),
        ({"format": vs.GRAYS}, {}, "must be integers"),
        ({"varsize": True}, {}, "constant format and size"),
        ({}, {"scale": 2}, "scale must be 1"),
        ({}, {"strenght": 1}, "unknown setting .strenght."),
        ({}, {"strength": 2.0}, "`strength` must lie between"),
        ({}, {"warm_up": -1}, "warm_up is -1, but must be at least 0"),
    ],
)
def test_impossible_options_are_refused(clip, options, told):
    with pytest.raises(ConfigError, match=told):
        plugin.enhance(blank(**clip), **options)


def test_the_module_of_scripts_is_thin(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins/vapoursynth"))
    import crsr

    clip = portrait("yuv420p", 1)
    assert same(planes(crsr.Enhance(clip, 0.0).get_frame(0)), planes(clip.get_frame(0)))
