"""Kinds of addresses, and addresses that are refused."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from crsr_video.config import ReadSettings
from crsr_video.errors import ConfigError, InputError
from crsr_video.io.sources.targets import SourceKind, Target, live_target, masked, recorded_target


def target(address: str, **settings: object) -> Target:
    return live_target(address, ReadSettings(**settings))


def test_addresses_have_a_kind() -> None:
    kinds = {
        "-": SourceKind.PIPE,
        "pipe:0": SourceKind.PIPE,
        "/dev/video0": SourceKind.DEVICE,
        "rtsp://camera/stream": SourceKind.NETWORK,
        "srt://host:9000": SourceKind.NETWORK,
        "http://host/a.m3u8": SourceKind.NETWORK,
        "clip.mp4": SourceKind.FILE,
        "file:///videos/a.mp4": SourceKind.FILE,
        "a:b.mp4": SourceKind.FILE,
    }
    assert {address: target(address).kind for address in kinds} == kinds


def test_a_v4l2_camera_is_asked_for_size_rate_and_format() -> None:
    form = {"size": (1280, 720), "rate": Fraction(30000, 1001), "pixel_format": "mjpeg"}
    asked = target("/dev/video2", **form)
    assert asked.format == "v4l2"
    assert asked.options["video_size"] == "1280x720"
    assert asked.options["framerate"] == "30000/1001"
    assert asked.options["input_format"] == "mjpeg"
    assert "pixel_format" not in asked.options


@pytest.mark.parametrize(
    ("name", "address", "url"),
    [
        ("avfoundation", "0", "0"),
        ("dshow", "Integrated Camera", "video=Integrated Camera"),
        ("dshow", "video=A:audio=B", "video=A:audio=B"),
    ],
)
def test_cameras_of_other_systems_have_their_own_addresses(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str, url: str
) -> None:
    with pytest.raises(InputError, match=f"there is no {name} on this system"):
        target(address, format=name)
    monkeypatch.setattr(av, "formats_available", {name})
    asked = target(address, format=name, size=(640, 480), pixel_format="nv12", rate=Fraction(30))
    assert asked.url == url
    assert asked.options["pixel_format"] == "nv12"
    assert asked.options["video_size"] == "640x480"
    assert asked.options["framerate"] == "30"


def test_a_source_may_use_only_the_protocols_of_its_address() -> None:
    for address in ("http://h/a.m3u8", "https://h/a.mp4", "rtsp://h/a", "rtmp://h/a", "udp://h:1"):
        allowed = target(address).options["protocol_whitelist"].split(",")
        assert "file" not in allowed
        assert "data" not in allowed
        assert "concat" not in allowed
    for address in ("clip.mp4", "list.m3u8", "-"):
        allowed = target(address).options["protocol_whitelist"].split(",")
        assert set(allowed) <= {"file", "crypto"}
    formats = target("clip.mp4").options["format_whitelist"].split(",")
    assert "hls" not in formats
    assert "concat" not in target("http://h/a").options["format_whitelist"].split(",")


def test_options_of_the_user_take_precedence() -> None:
    assert target("rtsp://h/a").options["rtsp_transport"] == "tcp"
    asked = target("rtsp://h/a", options={"rtsp_transport": "udp", "user_agent": "x"})
    assert asked.options["rtsp_transport"] == "udp"
    assert asked.options["user_agent"] == "x"


def test_hls_is_paced() -> None:
    assert target("https://h/live.m3u8?token=1").is_paced
    assert not target("https://h/a.mp4").is_paced
    assert not target("clip.mp4").is_paced
    assert target("clip.mp4", realtime=True).is_paced


def test_network_sources_and_paced_files_are_live() -> None:
    assert target("rtmp://h/a").is_live
    assert target("clip.mp4", realtime=True).is_live
    assert not target("clip.mp4").is_live


@pytest.mark.parametrize(
    ("address", "settings", "words"),
    [
        ("", {}, "a source is needed"),
        ("gopher://h/a", {}, "gopher is not a supported protocol"),
        ("-", {"format": "nosuch"}, "`format` must be one of"),
        ("-", {"format": "concat"}, "`format` must be one of"),
        ("-", {"format": "rawvideo"}, "give `size`, such as"),
        ("-", {"format": "rawvideo", "size": (0, 48)}, "`size` must be above zero"),
        ("-", {"format": "rawvideo", "size": (99_999, 48)}, "too large"),
        ("/dev/video0", {"rate": Fraction(0)}, "`rate` must lie between"),
    ],
)
def test_impossible_settings_are_refused(
    address: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises((ConfigError, InputError), match=words) as caught:
        target(address, **settings)
    assert "\n" not in str(caught.value)


def test_passwords_are_not_shown() -> None:
    assert masked("rtsp://me:secret@camera/1") == "rtsp://me:***@camera/1"
    assert masked("rtsp://camera/1") == "rtsp://camera/1"
    assert masked("rtsp://[broken") == "rtsp://[broken"
    assert "secret" not in target("rtsp://me:secret@camera/1").name


def test_size_and_format_of_a_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="for `format` rawvideo and cameras only"):
        target("clip.mp4", size=(64, 48))
    with pytest.raises(ConfigError, match="for `format` rawvideo only"):
        recorded_target(Path("clip.mp4"), ReadSettings(size=(64, 48)))
    with pytest.raises(ConfigError, match="a file states its own"):
        recorded_target(Path("clip.mp4"), ReadSettings(format="nut"))
