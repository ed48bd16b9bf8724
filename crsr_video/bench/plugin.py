"""Benchmark of the effect in FFmpeg: the time that it adds to the conversion to RGB and back.

FFmpeg decodes a clip, converts it to RGB and back, and discards the result, once with the effect in
between and once without it.
"""

import os
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
from crsr_video.formatting import markdown_table
from crsr_video.io.reader import Reader
from crsr_video.plugins import ffmpeg, ffmpeg_filters, frei0r, status
from crsr_video.server import Client, EffectSettings

FILMS = {"repeated frames": 1, "moving, no face": 0, "moving, a face": 1}
"""Number of faces by name. In the first film, every frame is the same."""
_STILL = next(iter(FILMS))

_FFMPEG_TIMEOUT_SECONDS = 600.0
_SERVER_TIMEOUT_SECONDS = 90.0
_SERVER_IDLE_SECONDS = "600"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginBenchSettings:
    """Parameters of a measurement."""

    size: str = "1080p"
    """A key of `clip.SIZES`."""
    frames: int = 100
    model: str = "identity"
    """Networks that the effect's server runs. "identity" shows the cost of everything else."""
    runs: int = 3
    """Number of measurements. Results are medians."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Milliseconds per frame of one pass through a clip."""

    ms: float
    ffmpeg_cpu_ms: float
    server_cpu_ms: float
    """0 if the system does not report it."""


@dataclass(frozen=True, slots=True)
class PluginFigures:
    """Results of one film, as medians."""

    film: str
    """A key of `FILMS`."""
    conversion: Pass
    effect: Pass

    @property
    def overhead_ms(self) -> float:
        """Milliseconds per frame that the effect adds."""
        return self.effect.ms - self.conversion.ms


def measure(
    settings: PluginBenchSettings, *, on_film: Callable[[str], None] = lambda _: None
) -> list[PluginFigures]:
    """Measure every film. Passes without the effect and with it alternate.

    Args:
        settings: What to measure.
        on_film: Called with the name of each film before it is measured.
    """
    weights.load(settings.model)  # Report an unknown model here, not in the server.
    with tempfile.TemporaryDirectory(prefix="crsr-") as name:
        folder = Path(name)
        environment = _environment(folder)
        clips = _clips(folder, settings)
        with running_server(folder / "s", settings.model) as process:
            rows = []
            for film, faces in FILMS.items():
                on_film(film)
                rows.append(_film(film, clips[faces], settings, environment, process))
            return rows


def _environment(folder: Path) -> Mapping[str, str]:
    """Return an environment in which FFmpeg finds the effect; compile it if none is installed."""
    host = status.ffmpeg()
    if host.path is None:
        raise BenchError("there is no ffmpeg on the search path")
    if not host.able:
        raise BenchError(f"{host.path} was built without frei0r")
    variables = {"CRSR_SOCKET": str(folder / "s"), "CRSR_SERVER": ""}
    if host.effect is None:
        source = frei0r.source_file(frei0r.EFFECT_SOURCE)
        frei0r.build(source, folder / "crsr.so", command=Path("crsr-video"))
        variables["FREI0R_PATH"] = str(folder)
    return os.environ | variables


def _clips(folder: Path, settings: PluginBenchSettings) -> dict[int, Path]:
    width, height = clip.SIZES[settings.size]
    made = {}
    for faces in sorted(set(FILMS.values())):
        made[faces] = folder / f"{faces}.mp4"
        clip.write(made[faces], clip.ClipProperties(width, height, faces, settings.frames))
    return made


@contextmanager
def running_server(place: Path, model: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a server for this measurement. The block begins when its networks are loaded."""
    words = ["serve", "--socket", str(place), "--idle", _SERVER_IDLE_SECONDS, "--model", model]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "crsr_video", "-q", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
        )
        try:
            if not _answers(place, model, process):
                errors.seek(0)
                lines = errors.read().strip().splitlines() or ["it printed no message"]
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
    """Wait until the server has loaded everything. Return False if it ended or took too long."""
    settings = EffectSettings(model=model)
    end = time.monotonic() + _SERVER_TIMEOUT_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            Client(settings, path=place, command=(), start_timeout=_SERVER_TIMEOUT_SECONDS).close()
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
    settings: PluginBenchSettings,
    environment: Mapping[str, str],
    server: "subprocess.Popen[str]",
) -> PluginFigures:
    effect = _command(film, path, settings)
    parameters = ffmpeg_filters.EffectParameters(model=settings.model)
    own = ffmpeg_filters.effect_filter(parameters)
    plain = [word.replace(f",{own}", "") for word in effect]
    both: tuple[list[Pass], list[Pass]] = ([], [])
    for _ in range(1 + settings.runs):  # The first round is a warm-up.
        for passes, words in zip(both, (plain, effect), strict=True):
            passes.append(time_pass(words, settings.frames, environment, server.pid))
    without, with_it = (_median(passes[1:]) for passes in both)
    return PluginFigures(film, without, with_it)


def _command(film: str, path: Path, settings: PluginBenchSettings) -> list[str]:
    """Return an FFmpeg command with the filters of ``ffmpeg-args`` and no encoder."""
    with Reader(path) as decoder:
        first, tags = decoder.source.first, ffmpeg.colour_tags(decoder.source)
    filters = ffmpeg_filters.filter_chain(
        first.layout,
        ffmpeg_filters.EffectParameters(model=settings.model),
        size=(first.width, first.height),
        pixel_format="yuv420p",
        tags=tags,
    )
    if film == _STILL:
        more = settings.frames - 1
        filters = f"loop=loop={more}:size=1:start=0,trim=end_frame={settings.frames},{filters}"
    return ["ffmpeg", "-v", "error", "-i", str(path), "-vf", filters, "-f", "null", "-"]


def time_pass(words: list[str], frames: int, environment: Mapping[str, str], server: int) -> Pass:
    """Run FFmpeg once and measure it.

    Raises:
        BenchError: If FFmpeg fails, prints an error or takes too long.
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
            timeout=_FFMPEG_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"ffmpeg took more than {_FFMPEG_TIMEOUT_SECONDS:.0f} seconds") from error
    wall = time.perf_counter() - begin
    messages = done.stderr.strip().splitlines()
    if done.returncode or messages:
        raise BenchError(f"ffmpeg: {messages[0] if messages else 'failed without a message'}")
    seconds = (wall, _children_seconds() - before, _seconds_of(server) - serving)
    return Pass(*(1000 * one / frames for one in seconds))


def _children_seconds() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _seconds_of(process: int) -> float:
    """Return the CPU seconds of a running process, or 0 if the system does not report them."""
    try:
        fields = (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        )
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
    """Return the results as a Markdown table."""
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
