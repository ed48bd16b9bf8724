"""Properties of pictures in containers are applied, kept, or named; --strict refuses losses."""

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.container_facts import ContainerFacts, CropMargins, FileFacts, read_facts
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.contract.harness import enhance, frames_of, packets
from tests.support.cli import run as run_command
from tests.support.mp4_boxes import box, clap, dolby_vision, sphere, with_box
from tests.support.standard_streams import Swapped, posix
from tests.support.video import make_video


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize(
    ("aperture", "size"),
    [(clap(128, 96), (128, 96)), (clap(129, 97, 4, -2), (130, 98))],
    ids=["even", "odd"],
)
def test_clean_aperture_is_applied(
    tmp_path: Path, suffix: str, codec: str, aperture: bytes, size: tuple[int, int]
) -> None:
    source = with_box(make_video(tmp_path / f"in{suffix}", codec=codec, size=(192, 144)), aperture)
    run = enhance(source, tmp_path / "out.mp4", None, faces=())
    assert (run.after[0].width, run.after[0].height) == size
    with Reader(source) as reader:
        assert any("cropped to" in line for line in reader.report.notes)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("make", "word", "result"),
    [
        (sphere, "360-degree", ".mkv"),
        (sphere, "360-degree", ".ts"),
        (dolby_vision, "Dolby Vision", ".mp4"),
    ],
)
def test_boxes_without_a_place_are_named(
    tmp_path: Path, suffix: str, make: Callable[[], bytes], word: str, result: str
) -> None:
    source = with_box(make_video(tmp_path / f"in{suffix}"), make())
    run = enhance(source, tmp_path / f"out{result}", None, faces=())
    assert any(word in line for line in run.notices)
    with pytest.raises(OutputError, match=word):
        enhance(source, tmp_path / f"strict{result}", OutputSettings(strict=True), faces=())


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("result", [".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_a_mapping_is_kept_in_mp4(tmp_path: Path, suffix: str, result: str, codec: str) -> None:
    source = make_video(tmp_path / f"in{suffix}", codec=codec, audio=1, frames=30)
    source = with_box(source, sphere() + box(b"st3d", bytes(4) + b"\x02"))
    plain, target = tmp_path / f"plain{result}", tmp_path / f"out{result}"
    enhance(make_video(tmp_path / "p.mp4", codec=codec, audio=1, frames=30), plain, None, faces=())
    run = enhance(source, target, OutputSettings(strict=True), faces=())
    before, after = facts_of(source), facts_of(target)
    assert after.tracks[0].entry_boxes == before.tracks[0].entry_boxes != b""
    assert [samples(frame) for frame in run.after] == [samples(f) for f in frames_of(plain)]
    assert packets(target) == packets(plain)


def samples(frame: Frame) -> bytes:
    return b"".join(component.tobytes() for component in frame.components)


def element(kind: int, content: bytes) -> bytes:
    identifier = kind.to_bytes((kind.bit_length() + 7) // 8)
    return identifier + (len(content) | 1 << 28).to_bytes(4) + content


def facts_of(path: Path) -> FileFacts:
    with path.open("rb") as file:
        return read_facts(file)


def matroska(path: Path, video: bytes, track: bytes = b"") -> Path:
    tracks = element(0x1654AE6B, element(0xAE, track + element(0xE0, video)))
    path.write_bytes(element(0x1A45DFA3, b"") + element(0x18538067, tracks))
    return path


def test_matroska_says_what_is_shown(tmp_path: Path) -> None:
    crops = zip((0x54CC, 0x54BB, 0x54DD, 0x54AA), (10, 15, 10, 15), strict=True)
    video = b"".join(element(kind, bytes([value])) for kind, value in crops)
    sphere_element = element(0x7670, element(0x7671, b"\x01"))
    added = element(0x41E4, element(0x41E7, b"dvcC"))
    path = matroska(tmp_path / "a.mkv", video + sphere_element + element(0x53C0, b"\x01"), added)
    losses = ("Dolby Vision", "360-degree mapping", "transparency")
    found = facts_of(path).of_track(0)
    assert found == ContainerFacts(CropMargins(10, 15, 10, 15), losses)


DAMAGED = [
    *(b"", b"\x1aE\xdf\xa3\xff", bytes(300), b"\x47" * 400, b"\0\0\0\x08moov", b"RIFF" * 9),
    *(b"\0\0\0\x08ftyp\0\0\0\x01free" + size.to_bytes(8) for size in (1 << 62, (1 << 64) - 1)),
]


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("data", DAMAGED)
def test_damaged_files_say_nothing(data: bytes, is_file: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    assert (facts_of(path) if is_file else read_facts(BytesIO(data))) == FileFacts()


XMP = box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<x:xmpmeta/>")
UNREAD = {
    "XMP, of the file": (XMP, "XMP metadata"),
    "XMP, before the movie": (XMP + box(b"moov", b""), "XMP metadata"),
    "XMP, of the movie": (
        box(b"moov", box(b"udta", box(b"XMP_", b"<x:xmpmeta/>"))),
        "XMP metadata",
    ),
    "camera, of the movie": (
        box(b"moov", box(b"udta", box(b"smta", b"1") + box(b"meta", b""))),
        "user data of the camera (smta)",
    ),
    "camera, of a track": (
        box(b"moov", box(b"trak", box(b"udta", box(b"GPMF", b"1")))),
        "user data of the camera (GPMF)",
    ),
    "known": (box(b"moov", box(b"udta", box(b"loci", b"1") + box(b"\xa9nam", b"1"))), None),
    "disabled track": (element(0xAE, element(0xB9, b"\0")), "disabled tracks"),
    "enabled track": (element(0xAE, element(0xB9, b"\1")), None),
    "region": (element(0xAE, element(0x22B59D, b"pt-BR")), "regions or scripts of languages"),
    "script": (element(0xAE, element(0x22B59D, b"zh-Hant")), "regions or scripts of languages"),
    "plain language": (element(0xAE, element(0x22B59D, b"de")), None),
}


@pytest.mark.parametrize("name", UNREAD)
def test_metadata_that_ffmpeg_does_not_read_is_found(name: str) -> None:
    content, loss = UNREAD[name]
    if content[4:8] in (b"uuid", b"moov"):
        data = box(b"ftyp", b"isom") + content
    else:
        data = element(0x1A45DFA3, b"") + element(0x18538067, element(0x1654AE6B, content))
    assert read_facts(BytesIO(data)).common.losses == (() if loss is None else (loss,))


@pytest.mark.parametrize(
    ("suffix", "result"), [(".mp4", ".mp4"), (".mov", ".mkv"), (".m4v", ".ts")]
)
def test_lost_xmp_metadata_is_named(tmp_path: Path, suffix: str, result: str) -> None:
    source = make_video(tmp_path / f"in{suffix}")
    source.write_bytes(source.read_bytes() + XMP)
    run = enhance(source, tmp_path / f"out{result}", None, faces=())
    assert "not kept: XMP metadata" in run.notices
    with pytest.raises(OutputError, match="XMP"):
        enhance(source, tmp_path / f"s{result}", OutputSettings(strict=True), faces=())


@pytest.mark.parametrize("mode", ["left_right", "top_bottom", "right_left"])
@pytest.mark.parametrize("result", [".mkv", ".mp4"])
def test_stereo_pictures_keep_their_shape(tmp_path: Path, mode: str, result: str) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / f"out{result}"
    plain = make_video(tmp_path / "plain.mp4")
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        copy.metadata["stereo_mode"] = mode
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    with Reader(source) as reader:
        pixels = reader.source.first.sample_aspect
        shown = pixels / (Fraction(1, 2) if mode == "top_bottom" else 2)
    run = enhance(source, target, None, faces=())
    assert run.after[0].sample_aspect == shown
    assert any("stereo mode" in line for line in run.notices)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_service_of_a_transport_stream_is_kept(tmp_path: Path, codec: str) -> None:
    names = {"service_provider": "Provider", "service_name": "Channel One"}
    source = make_video(tmp_path / "in.ts", codec=codec, metadata=names)
    enhance(source, tmp_path / "out.ts", None, faces=())
    for path in (source, tmp_path / "out.ts"):
        assert facts_of(path).common.service == ("Provider", "Channel One")
    run = enhance(source, tmp_path / "out.mp4", None, faces=())
    assert "mp4 does not hold the name of the service" in run.notices


CHAPTERS = {
    "ordered chapters": element(0x45DD, b"\x01"),
    "nested chapters": element(0xB6, element(0xB6, b"")),
    "hidden chapters": element(0xB6, element(0x98, b"\x01")),
    "languages of chapters": element(0xB6, element(0x80, element(0x437C, b"ger"))),
}


@pytest.mark.parametrize("word", CHAPTERS)
@pytest.mark.parametrize("is_late", [False, True])
def test_losses_of_chapters_are_found(tmp_path: Path, word: str, is_late: bool) -> None:
    chapters = element(0x1043A770, element(0x45B9, CHAPTERS[word]))
    tracks, clusters = element(0x1654AE6B, b""), element(0x1F43B675, bytes(500))
    index = b"\x53\xab\x84\x10\x43\xa7\x70\x53\xac\x84"
    place = len(element(0x114D9B74, index + bytes(4))) + len(tracks) + len(clusters)
    index = element(0x114D9B74, index + place.to_bytes(4))
    parts = [index, tracks, clusters, chapters] if is_late else [tracks, chapters, clusters]
    path = tmp_path / "a.mkv"
    path.write_bytes(element(0x1A45DFA3, b"") + element(0x18538067, b"".join(parts)))
    assert facts_of(path).common.losses == (word,)


@pytest.mark.parametrize("result", [".mkv", ".webm", ".mp4"])
def test_languages_of_chapters_are_named(tmp_path: Path, result: str) -> None:
    source = make_video(tmp_path / "in.mkv", chapters=True)
    data = source.read_bytes()
    assert data.count(b"\x43\x7c\x83und") == 2
    source.write_bytes(data.replace(b"\x43\x7c\x83und", b"\x43\x7c\x83ger"))
    run = enhance(source, tmp_path / f"out{result}", None, faces=())
    assert "not kept: languages of chapters" in run.notices
    with pytest.raises(OutputError, match="languages of chapters"):
        enhance(source, tmp_path / f"s{result}", OutputSettings(strict=True), faces=())


@posix
@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_a_crop_is_applied_to_a_pipe_too(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    plain = make_video(tmp_path / f"in{suffix}", size=(192, 144), container_options=options)
    data = with_box(plain, clap(128, 96)).read_bytes()
    result = tmp_path / "out.mp4"
    with Swapped(data):
        done = run_command("enhance", "-", "-o", result, "--model", "identity", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    with Reader(result) as reader:
        assert (reader.info.width, reader.info.height) == (128, 96)
