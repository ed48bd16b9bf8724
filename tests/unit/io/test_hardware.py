import av
import pytest

from crsr_video.io import hardware
from tests.support.paths import ROOT

CLIP = str(ROOT / "clips" / "portrait.mp4")


def test_kinds_come_in_the_order_of_their_use():
    assert hardware.decoders(lambda: ["vaapi", "drm", "cuda"]) == ("cuda", "vaapi")
    assert hardware.decoders(list) == ()


def test_this_build_of_ffmpeg_can_be_asked():
    assert set(hardware.decoders()) <= {"cuda", "videotoolbox", "vaapi", "d3d11va"}


class Opener:
    """Stands in for av.open: refuses some devices."""

    def __init__(self, *refused):
        self.refused, self.opened = refused, []

    def __call__(self, path, hwaccel=None, **options):
        if hwaccel in self.refused:
            raise av.error.ExternalError(1, "no such device")
        self.opened.append((path, hwaccel, options))
        return "container"


def open_with(opener, wanted):
    return hardware.open_source(
        "a.mp4",
        wanted,
        open_file=opener,
        known=lambda: ["cuda", "vaapi"],
        make=lambda device_type, **_: device_type,
        metadata_errors="ignore",
    )


def test_the_first_device_that_opens_is_used():
    opener = Opener("cuda")
    container, found = open_with(opener, "auto")
    assert (container, found) == ("container", hardware.Found("vaapi"))
    assert opener.opened == [("a.mp4", "vaapi", {"metadata_errors": "ignore"})]


@pytest.mark.parametrize(
    ("wanted", "told"), [("auto", ""), ("cuda", "no decoding on cuda"), (None, "")]
)
def test_software_is_used_where_no_device_opens(wanted, told):
    opener = Opener("cuda", "vaapi")
    _, found = open_with(opener, wanted)
    assert found.name is None
    assert found.notice.startswith(told)
    assert bool(found.notice) == bool(told)
    assert opener.opened == [("a.mp4", None, {"metadata_errors": "ignore"})]


def test_software_is_used_where_none_is_wanted():
    opener = Opener()
    assert open_with(opener, None)[1] == hardware.Found(None)
    assert opener.opened[0][1] is None


def test_a_kind_that_does_not_exist_is_no_failure():
    container, found = hardware.open_source(CLIP, "nonsense")
    with container:
        assert found.name is None
        assert "nonsense" in found.notice
        assert next(container.decode(video=0)).width > 0


def test_a_missing_file_is_still_a_missing_file():
    with pytest.raises(FileNotFoundError):
        hardware.open_source("/nonexistent/a.mp4", "auto")


def test_an_encoder_is_chosen_by_trial():
    tried = []

    def works(name):
        tried.append(name)
        return name == "h264_qsv"

    assert hardware.encoder("h264", works=works) == hardware.Found("h264_qsv")
    assert tried == ["h264_nvenc", "h264_videotoolbox", "h264_qsv"]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_without_a_card_software_encodes(codec):
    found = hardware.encoder(codec, works=lambda _: False)
    assert found.name is None
    assert codec in found.notice


def test_the_trial_really_encodes():
    assert hardware._encodes("libx264")
    assert not hardware._encodes("no such encoder")
