"""The choice of a device that decodes."""

import av
import pytest

from crsr_video.io import hardware
from tests.support.paths import PORTRAIT

CLIP = str(PORTRAIT)


def test_usable_kinds_are_ordered_by_usefulness():
    assert hardware.usable_kinds(lambda: ["vaapi", "drm", "cuda"]) == ("cuda", "vaapi")
    assert hardware.usable_kinds(list) == ()


def test_this_build_of_ffmpeg_lists_its_devices():
    assert set(hardware.usable_kinds()) <= {"cuda", "videotoolbox", "vaapi", "d3d11va"}


class Opener:
    """Stand-in for av.open that refuses some devices."""

    def __init__(self, *refused):
        self.refused, self.opened = refused, []

    def __call__(self, path, hwaccel=None, **options):
        if hwaccel in self.refused:
            raise av.error.ExternalError(1, "no such device")
        self.opened.append((path, hwaccel, options))
        return "container"


def open_with(opener, wanted):
    return hardware.open_accelerated(
        "a.mp4",
        wanted,
        open_source=opener,
        built=lambda: ["cuda", "vaapi"],
        make_device=lambda device_type, **_: device_type,
        metadata_errors="ignore",
    )


def test_the_first_device_that_opens_is_used():
    opener = Opener("cuda")
    assert open_with(opener, "auto") == "container"
    assert opener.opened == [("a.mp4", "vaapi", {"metadata_errors": "ignore"})]


@pytest.mark.parametrize("wanted", ["auto", "cuda", "none"])
def test_software_decodes_where_no_device_opens(wanted):
    opener = Opener("cuda", "vaapi")
    assert open_with(opener, wanted) == "container"
    assert opener.opened == [("a.mp4", None, {"metadata_errors": "ignore"})]


def test_no_device_is_tried_unless_wanted():
    opener = Opener()
    open_with(opener, "none")
    assert [device for _, device, _ in opener.opened] == [None]


def test_an_unknown_kind_of_device_is_no_failure():
    with hardware.open_accelerated(CLIP, "nonsense") as container:
        assert next(container.decode(video=0)).width > 0


def test_a_missing_file_is_still_reported_as_missing():
    with pytest.raises(FileNotFoundError):
        hardware.open_accelerated("/nonexistent/a.mp4", "auto")
