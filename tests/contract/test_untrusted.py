"""Hostile files: they cannot open other files, and their claims are limited."""

import ast
import errno
import os
import socket
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import crsr_video
from crsr_video.errors import InputError
from crsr_video.io import limits
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.video import make_video

PACKAGE = Path(crsr_video.__file__).parent


class Trap:
    """A server and a named pipe that must not be touched."""

    def __init__(self, folder: Path) -> None:
        if not hasattr(os, "mkfifo"):
            pytest.skip("needs POSIX")
        self.pipe = folder / "secret.ts"
        os.mkfifo(self.pipe)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self.url = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.touched: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._server.accept()[0].close()
                self.touched.append("network")
            except TimeoutError:
                pass
            self._try_pipe()

    def _try_pipe(self) -> None:
        """Detect a reader: only then can a pipe be opened for writing without waiting."""
        try:
            os.close(os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK))
            self.touched.append("file")
        except OSError as error:
            assert error.errno == errno.ENXIO

    def close(self) -> None:
        self._stop.wait(0.15)
        self._stop.set()
        self._thread.join()
        self._server.close()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    made = Trap(tmp_path)
    yield made
    made.close()


def test_the_traps_of_these_tests_work(trap: Trap) -> None:
    host, port = trap.url.split(":")
    socket.create_connection((host, int(port))).close()
    with trap.pipe.open("rb") as file:
        file.read()
    trap.close()
    assert set(trap.touched) == {"network", "file"}


CONCAT = "ffconcat version 1.0\nfile {}\n"
HLS = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    "#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n"
)
KEY = HLS.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="{}"\n#EXTINF')
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{}\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1000"><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>\n"
)
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:{}\n"
)
VOBSUB = "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n# {}\n"
SCRIPTS = {"concat": CONCAT, "hls": HLS, "key": KEY, "master": MASTER, "dash": DASH}
SCRIPTS |= {"sdp": SDP, "vobsub": VOBSUB}
SUFFIXES = {"concat": ".ffconcat", "dash": ".mpd", "sdp": ".sdp", "vobsub": ".idx"}
SUFFIXES |= dict.fromkeys(("hls", "key", "master"), ".m3u8")


@pytest.mark.parametrize(
    ("script", "suffix"),
    [(script, suffix) for script in sorted(SCRIPTS) for suffix in (".mp4", SUFFIXES[script])],
)
def test_scripts_open_no_other_file(
    tmp_path: Path, trap: Trap, script: str, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"input{suffix}"
    targets = ("secret.ts", str(trap.pipe), f"file:{trap.pipe}", f"http://{trap.url}/a.ts")
    targets += (f"tcp://{trap.url}", "/etc/passwd", f"subfile,,start,0,end,9,,:{trap.pipe}")
    for target in targets:
        path.write_text(SCRIPTS[script].replace("{}", target))
        with pytest.raises(InputError) as caught:
            Reader(path)
        assert "\n" not in str(caught.value)
        assert "root:" not in str(caught.value)
    trap.close()
    assert trap.touched == []
    assert capfd.readouterr() == ("", "")


def test_every_format_on_the_list_is_known() -> None:
    known = {part for name in av.formats_available for part in name.split(",")}
    assert set(limits.FORMATS) <= known
    dangerous = {"hls", "dash", "concat", "concatf", "sdp", "rtsp", "rtp", "sap", "imf", "image2"}
    dangerous |= {"mlv", "vobsub", "lavfi", "avisynth", "webm_dash_manifest", "tty", "ffmetadata"}
    assert not dangerous & set(limits.FORMATS)


# Claims -----------------------------------------------------------------------------------------


def _peak() -> float:
    resource = pytest.importorskip("resource", reason="needs POSIX")

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _y4m(path: Path, header: str) -> Path:
    picture = b"FRAME\n" + bytes(range(256)) * 9  # 48x32
    path.write_bytes(f"YUV4MPEG2 {header}\n".encode() + picture * 5)
    return path


@pytest.mark.parametrize("size", ["W65535 H65535", "W16384 H16384", "W2147483647 H1", "W0 H0"])
def test_giant_raw_pictures_are_refused(tmp_path: Path, size: str) -> None:
    before = _peak()
    with pytest.raises(InputError):
        Reader(_y4m(tmp_path / "a.y4m", f"{size} F25:1 C420jpeg"))
    assert _peak() - before < 100


@pytest.mark.parametrize("codec", ["mjpeg", "ffv1", "libx264"])
def test_giant_pictures_in_matroska_are_refused(tmp_path: Path, codec: str) -> None:
    path = make_video(
        tmp_path / "a.mkv",
        codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        size=(512, 320),
        frames=2,
    )
    data = path.read_bytes()
    old = b"\xb0\x82\x02\x00\xba\x82\x01\x40"  # PixelWidth and PixelHeight, two bytes each.
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, b"\xb0\x82\xff\xff\xba\x82\xff\xff"))
    before = _peak()
    try:
        with Reader(path) as decoder:
            assert (decoder.info.width, decoder.info.height) == (512, 320)
    except InputError as error:
        assert "too large" in str(error) or "no picture" in str(error)
    assert _peak() - before < 100


@pytest.mark.parametrize("rate", ["1000000000:1", "1:1000000000", "0:0", "25:0"])
def test_absurd_rates_are_survived(tmp_path: Path, rate: str) -> None:
    path = _y4m(tmp_path / "a.y4m", f"W48 H32 F{rate} C420jpeg")
    try:
        with Reader(path) as decoder:
            frames = [item for item in decoder if isinstance(item, Frame)]
    except InputError:
        return
    assert len(frames) == 5
    assert [f.pts for f in frames] == sorted({f.pts for f in frames})


@pytest.mark.parametrize(
    ("aspect", "expected"), [("4:3", Fraction(4, 3)), ("9999:1", 1), ("1:9999", 1), ("0:0", 1)]
)
def test_impossible_pixel_shapes_count_as_square(
    tmp_path: Path, aspect: str, expected: Fraction
) -> None:
    with Reader(_y4m(tmp_path / "a.y4m", f"W48 H32 F25:1 A{aspect} C420jpeg")) as decoder:
        frame = next(item for item in decoder if isinstance(item, Frame))
    assert frame.sample_aspect == expected


def _element(name: str, content: bytes) -> bytes:
    """Return a Matroska element with a length of eight bytes."""
    return bytes.fromhex(name) + b"\x01" + len(content).to_bytes(7) + content


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(4))


def test_too_many_streams_are_refused(tmp_path: Path) -> None:
    head = _element("1a45dfa3", _element("4282", b"matroska"))
    tracks = b"".join(
        _element("ae", _number("d7", i) + _number("73c5", i) + _number("83", 17) + _text_codec())
        for i in range(1, 3 * limits.MAX_STREAMS)
    )
    path = tmp_path / "a.mkv"
    path.write_bytes(head + _element("18538067", _element("1654ae6b", tracks)))
    before = _peak()
    with pytest.raises(InputError, match=r"a\.mkv: (has too many streams|cannot be opened|is not)"):
        Reader(path)
    assert _peak() - before < 100


def _text_codec() -> bytes:
    return _element("86", b"S_TEXT/UTF8")


def test_too_many_chapters_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    plain = make_video(tmp_path / "b.mkv", frames=2)
    chapters = b"".join(
        _element("b6", _number("73c4", i) + _number("91", i)) for i in range(1, 10_002)
    )
    book = _element("1043a770", _element("45b9", chapters))
    path.write_bytes(_with_element(plain.read_bytes(), book))
    with pytest.raises(InputError, match=r"too many chapters \(10001, but 10000 at most\)"):
        Reader(path)


def test_a_giant_list_of_chapters_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """FFmpeg compares each chapter with all before it, so a long list takes minutes or hours."""
    numbers = np.random.default_rng(1).permutation(100_000) + 1
    atoms = np.zeros((len(numbers), 11), np.uint8)
    atoms[:] = list(b"\xb6\x89\x73\xc4\x83...\x91\x81\x00")
    atoms[:, 5:8] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    plain = make_video(tmp_path / "b.mkv", frames=2).read_bytes()
    book = _element("1043a770", _element("45b9", atoms.tobytes()))
    path = tmp_path / "a.mkv"
    for data in (_with_element(plain, book), _with_element_behind(plain, book)):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"too many chapters \(\d+ bytes, at most"):
            Reader(path)


def _with_element_behind(data: bytes, element: bytes) -> bytes:
    """Write a Matroska file with an element at its end, and an index that points to it."""
    at = data.index(b"\x18\x53\x80\x67") + 12
    index = _element(
        "4dbb", bytes.fromhex("53ab84") + element[:4] + bytes.fromhex("53ac88") + bytes(8)
    )
    index = _element("114d9b74", index)
    place = len(data) - at + len(index)
    index = index[:-8] + place.to_bytes(8)
    return data[: at - 8] + b"\x01" + b"\xff" * 7 + index + data[at:] + element


def _with_element(data: bytes, element: bytes) -> bytes:
    """Write a Matroska file with one more element at the beginning of its segment."""
    at = data.index(b"\x18\x53\x80\x67") + 4
    return data[:at] + b"\x01" + b"\xff" * 7 + element + data[at + 8 :]


def test_chapters_within_the_limit_are_kept(tmp_path: Path) -> None:
    plain = make_video(tmp_path / "b.mkv", frames=2)
    chapters = b"".join(_element("b6", _number("73c4", i) + _number("91", i)) for i in range(1, 31))
    path = tmp_path / "a.mkv"
    path.write_bytes(
        _with_element(plain.read_bytes(), _element("1043a770", _element("45b9", chapters)))
    )
    with Reader(path) as decoder:
        assert len(decoder.source.container.chapters()) == 30


def test_attachments_and_tags_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mkv", attachment=bytes(5000), metadata={"note": "x" * 5000})
    with Reader(path):
        pass
    monkeypatch.setattr(limits, "MAX_ATTACHED", 4999)
    with pytest.raises(InputError, match=r"too many attachments \(50\d\d bytes, at most 4999"):
        Reader(path)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_TAGS", 4999)
    with pytest.raises(InputError, match="too many characters of metadata"):
        Reader(path)


@pytest.mark.parametrize("is_indexed", [False, True])
def test_giant_attachments_are_refused_before_they_are_read(
    tmp_path: Path, is_indexed: bool
) -> None:
    plain = make_video(tmp_path / "b.mkv", frames=2).read_bytes()
    length = 300 << 20
    element = bytes.fromhex("1941a469") + b"\x01" + length.to_bytes(7)
    path = tmp_path / "a.mkv"
    path.write_bytes(
        _with_element_behind(plain, element) if is_indexed else _with_element(plain, element)
    )
    os.truncate(path, path.stat().st_size + length)  # A hole, which takes no space.
    before = _peak()
    with pytest.raises(InputError, match=r"too many attachments \(314572800 bytes, at most"):
        Reader(path)
    assert _peak() - before < 50


@pytest.mark.parametrize("name", ["../escaped.ttf", "/escaped.ttf", "..\\escaped.ttf", "a\0b"])
def test_names_in_metadata_are_never_paths(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path, name = folder / "a.mkv", name.replace("\0", "%00")
    plain = make_video(tmp_path / "b.mkv", frames=3)
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        new.add_attachment(name, "application/x-truetype-font", b"font")
        new.metadata.update({"filename": name, "title": name})
        new.start_encoding()
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    plain.unlink()
    with Reader(path) as decoder, Writer(None, decoder.source) as encoder:
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
    found = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {Path("inner/a.mkv"), Path("inner/a.enhanced.mkv")}
    with av.open(str(folder / "a.enhanced.mkv")) as result:
        kept = next(s for s in result.streams if s.type == "attachment")
        assert kept.metadata["filename"] == name


# Weights and code -------------------------------------------------------------------------------


def _calls() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", ast.unparse(node)


def test_nothing_read_can_run_code() -> None:
    """No code of this package unpickles or evaluates the contents of a file."""
    calls = list(_calls())
    loads = [(at, text) for at, text in calls if text.startswith("torch.load(")]
    assert loads, "this test looks for something that is not there any more"
    assert all("weights_only=True" in text for _, text in loads), loads
    forbidden = ("pickle.load", "pickle.Unpickler", "eval(", "exec(", "marshal.", "shelve.")
    found = [
        (at, text[:60])
        for at, text in calls
        # A Ray cluster runs what its members send it, pickled or not: that is what it is for.
        if text.startswith(forbidden) and not at.startswith("jobs/cluster/worker.py")
    ]
    found += [(at, text[:60]) for at, text in calls if "allow_pickle=True" in text]
    found += [(at, text[:60]) for at, text in calls if text.startswith(("os.system(", "os.popen("))]
    found += [(at, text[:60]) for at, text in calls if "shell=True" in text]
    assert found == []


def test_inference_never_unpickles() -> None:
    """Training and pretrained packages import pickle only to catch errors of `torch.load`."""
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "import pickle" in path.read_text()
    }
    inference = {name for name in importers if not name.startswith("training/")}
    # The members of a cluster run its code.
    assert inference == {"jobs/cluster/worker.py", "weights/packages.py"}
