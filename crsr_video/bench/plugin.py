"""What the effect costs in FFmpeg, beyond the conversion to RGB and back that it needs anyhow.

FFmpeg decodes a clip, converts it and throws it away: with the effect in the middle, and without.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from crsr_video import weights
from crsr_video.bench import clip
from crsr_video.errors import BenchError, ServerError, VersionError
from crsr_video.io.reader import Reader
from crsr_video.plugins import ffmpeg, ffmpeg_filters, frei0r, status
from crsr_video.server import Client, EffectSettings
from crsr_video.text_table import markdown_table

FILMS = {"repeated frames": 1, "moving, no face": 0, "moving, a face": 1}
"""Their faces; in the first, every frame is the same."""
_STILL = next(iter(FILMS))

_LONGEST = 600.0
"""Seconds that FFmpeg may take for a clip."""
_START = 90.0
"""Seconds that the server may take to answer."""
_IDLE = "600"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be measured."""

    size: str = "1080p"
    """A key of `clip.SIZES`."""
    frames: int = 100
    model: str = "identity"
    """What the effect's server runs; the identity shows what all else costs."""
    runs: int = 3
    """Times that everything is measured; what is told are the medians."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Once through a clip; milliseconds a frame."""

    ms: float
    ffmpeg_cpu_ms: float
    server_cpu_ms: float
    """0 where the system does not say."""


@dataclass(frozen=True, slots=True)
class PluginFigures:
    """Medians of one film."""

    film: str
    """A key of `FILMS`."""
    conversion: Pass
    """Decoded and converted, without the effect."""
    effect: Pass
    """With it."""

    @property
    def overhead_ms(self) -> float:
        """Of the effect, a frame."""
        return self.effect.ms - self.conversion.ms


def measure(
    wanted: Wanted, *, on_film: Callable[[str], None] = lambda _: None
) -> list[PluginFigures]:
    """Measure; both ways take turns.

    Args:   on_film: told what comes next, in words.
    Raises: BenchError: FFmpeg is missing or cannot load effects, the effect or its server says
            that it cannot do its work.
            PluginError: there is no effect, and it cannot be compiled. WeightsError.
    """
    weights.load(wanted.model)  # Refused now: the server would come to it late.
    with tempfile.TemporaryDirectory(prefix="crsr-") as name:
        folder = Path(name)
        environment = _environment(folder)
        clips = _clips(folder, wanted)
        with _server(folder / "s", wanted.model) as process:
            rows = []
            for film, faces in FILMS.items():
                on_film(film)
                rows.append(_film(film, clips[faces], wanted, environment, process))
            return rows


def _environment(folder: Path) -> Mapping[str, str]:
    """For FFmpeg: it loads the effect that is installed, else one that is compiled now."""
    host = status.ffmpeg()
    if host.path is None:
        raise BenchError("there is no ffmpeg on the search path")
    if not host.able:
        raise BenchError(f"{host.path} was built without frei0r")
    told = {"CRSR_SOCKET": str(folder / "s"), "CRSR_SERVER": ""}
    if host.effect is None:
        source = frei0r.source_file(frei0r.EFFECT_SOURCE)
        frei0r.build(source, folder / "crsr.so", command=Path("crsr-video"))
        told["FREI0R_PATH"] = str(folder)
    return os.environ | told


def _clips(folder: Path, wanted: Wanted) -> dict[int, Path]:
    """By number of faces."""
    width, height = clip.SIZES[wanted.size]
    made = {}
    for faces in sorted(set(FILMS.values())):
        made[faces] = folder / f"{faces}.mp4"
        clip.write(made[faces], clip.Sample(width, height, faces, wanted.frames))
    return made


@contextmanager
def _server(place: Path, model: str) -> Iterator["subprocess.Popen[str]"]:
    """A server for this alone, warm."""
    words = ["serve", "--socket", str(place), "--idle", _IDLE, "--model", model]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "crsr_video", "-q", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            text=True,
        )
        try:
            if not _answers(place, model, process):
                said.seek(0)
                lines = said.read().strip().splitlines() or ["it said nothing"]
                raise BenchError(f"the server does not answer: {lines[-1]}")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(place: Path, model: str, process: "subprocess.Popen[str]") -> bool:
    """Wait until the server has loaded everything, or is known not to."""
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        try:
            Client(
                EffectSettings(model=model), path=place, command=(), start_timeout=_START
            ).close()
        except VersionError:
            raise
        except ServerError:
            time.sleep(0.1)
        else:
            return True
    return False


def _film(
    film: str,
    path: Path,
    wanted: Wanted,
    environment: Mapping[str, str],
    server: "subprocess.Popen[str]",
) -> PluginFigures:
    effect = _command(film, path, wanted)
    plain = [word.replace(f",{_effect(wanted)}", "") for word in effect]
    both: tuple[list[Pass], list[Pass]] = ([], [])
    for _ in range(1 + wanted.runs):  # the first warms up
        for passes, words in zip(both, (plain, effect), strict=True):
            passes.append(_timed(words, wanted.frames, environment, server.pid))
    without, with_it = (_median(passes[1:]) for passes in both)
    return PluginFigures(film, without, with_it)


def _effect(wanted: Wanted) -> str:
    return ffmpeg_filters.effect_filter(ffmpeg_filters.EffectParameters(model=wanted.model))


def _command(film: str, path: Path, wanted: Wanted) -> list[str]:
    """The filters that ``ffmpeg-args`` would have, and no encoder."""
    with Reader(path) as decoder:
        first, tags = decoder.source.first, ffmpeg.colour_tags(decoder.source)
    filters = ffmpeg_filters.filter_chain(
        first.layout,
        ffmpeg_filters.EffectParameters(model=wanted.model),
        size=(first.width, first.height),
        pixel_format="yuv420p",
        tags=tags,
    )
    if film == _STILL:
        more = wanted.frames - 1
        filters = f"loop=loop={more}:size=1:start=0,trim=end_frame={wanted.frames},{filters}"
    return ["ffmpeg", "-v", "error", "-i", str(path), "-vf", filters, "-f", "null", "-"]


def _timed(words: list[str], frames: int, environment: Mapping[str, str], server: int) -> Pass:
    """Once through.

    Raises: BenchError: FFmpeg failed, or the effect let frames pass unchanged.
    """
    before, serving = _children_seconds(), _seconds_of(server)
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=dict(environment),
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"ffmpeg took more than {_LONGEST:.0f} seconds") from error
    wall = time.perf_counter() - begin
    said = done.stderr.strip().splitlines()
    if done.returncode or said:
        raise BenchError(f"ffmpeg: {said[0] if said else 'failed without a word'}")
    seconds = (wall, _children_seconds() - before, _seconds_of(server) - serving)
    return Pass(*(1000 * one / frames for one in seconds))


def _children_seconds() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds_of(process: int) -> float:
    """CPU seconds of a process that runs; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _median(passes: list[Pass]) -> Pass:
    return Pass(
        median(one.ms for one in passes),
        median(one.ffmpeg_cpu_ms for one in passes),
        median(one.server_cpu_ms for one in passes),
    )


def as_text(rows: Sequence[PluginFigures]) -> str:
    """The results as a table."""
    header = ["film", "conversion", "with the effect", "difference"]
    header += ["CPU of conversion", "CPU of ffmpeg", "CPU of the server"]
    lines = [
        [
            row.film,
            *(f"{ms:.2f}" for ms in (row.conversion.ms, row.effect.ms, row.overhead_ms)),
            *(f"{ms:.2f}" for ms in (row.conversion.ffmpeg_cpu_ms, row.effect.ffmpeg_cpu_ms)),
            f"{row.effect.server_cpu_ms:.2f}",
        ]
        for row in rows
    ]
    return markdown_table(header, lines)
