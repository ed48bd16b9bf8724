"""Real footage is enhanced by the real tracker and networks; skipped where there are no clips."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings
from crsr_video.imaging.masks import possibly_changed
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.contract.harness import FFV1, enhance, frames_of, packets, times
from tests.support.paths import ROOT

CLIPS = ROOT.parent / "shared" / "data" / "clips" / "open"
pytestmark = pytest.mark.skipif(not CLIPS.is_dir(), reason="no clips here")

FACES = (
    "mpf_conference_5faces.mp4",
    "mpf_bike_selfie_rotated90.mp4",
    "asl/again.mkv",
    "grid/sbwe5n.mpg",
)
COPIED = {
    "mpf_conference_codecs/h264_aac.mp4": ".mp4",
    "mpf_conference_codecs/h265_aac.mp4": ".mp4",
    "mpf_conference_codecs/mp4v_aac.mp4": ".mp4",
    "mpf_conference_codecs/vp8_opus.webm": ".webm",
    "mpf_conference_codecs/xvid_aac.avi": ".avi",
    "chaplin_old_film.mp4": ".mp4",
    "grid/sbwe5n.mpg": ".mpg",
}


@pytest.mark.parametrize("name", FACES)
def test_outside_the_reported_masks_every_bit_stays(tmp_path: Path, name: str) -> None:
    target = tmp_path / "b.nut"
    with (
        Reader(CLIPS / name, duration=0.3) as decoder,
        Writer(target, decoder.source, FFV1) as encoder,
        pipeline.build(Config()) as pipe,
    ):
        before = [i for i in decoder if isinstance(i, Frame)]
        finished = [done for frame in before for done in pipe.push(frame)] + pipe.flush()
        for frame in finished:
            encoder.push(frame)
    assert len(finished) == len(before)
    assert pipe.statistics.enhanced > 0
    for old, done, new in zip(before, finished, frames_of(target), strict=True):
        assert new.seconds == pytest.approx(old.seconds, abs=0.001)
        assert all(map(np.array_equal, done.components, new.components))
        where = possibly_changed(done)
        assert 0 < where.mean() < 0.6
        assert np.array_equal(old.components[0][~where], new.components[0][~where])


@pytest.mark.parametrize("name", COPIED)
def test_times_and_packets_of_real_files(tmp_path: Path, name: str) -> None:
    source, target = CLIPS / name, tmp_path / f"b{COPIED[name]}"
    fast = "x26" if name.startswith(("mpf_conference_codecs/h26", "chaplin")) else ""
    settings = OutputSettings(preset="ultrafast" if fast else None)
    if name.endswith(".webm"):
        settings = OutputSettings(options={"cpu-used": "16", "deadline": "realtime"})
    run = enhance(source, target, settings, faces=())
    assert run.notices == ()
    assert times(target) == times(source)
    old, new = packets(source), packets(target)
    assert old.keys() == new.keys()
    for key, before in old.items():
        assert [data for _, data in new[key]] == [data for _, data in before]
        offsets = {abs((b[0] or 0) - (a[0] or 0)) for a, b in zip(before, new[key], strict=True)}
        assert max(offsets) <= Fraction(1, 1000)
    with av.open(str(source)) as a, av.open(str(target)) as b:
        facts = [(s.type, s.language, int(s.disposition)) for s in a.streams]
        assert facts == [(s.type, s.language, int(s.disposition)) for s in b.streams]
