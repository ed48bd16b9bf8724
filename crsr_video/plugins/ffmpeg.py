"""FFmpeg's command line for one video: through the effect, everything else kept."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.containers import MOV
from crsr_video.io.output_plan import OutputPlan, plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.source import Source
from crsr_video.plugins import hosts
from crsr_video.plugins.conversion import Parameters, Tags, chain, retag

_FALLBACK = "libx264"


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, or several that are joined by pipes."""

    parts: tuple[tuple[str, ...], ...]
    """The programs with their arguments."""
    output: Path
    notices: tuple[str, ...]
    """What the user should know, in words."""

    @property
    def line(self) -> str:
        """Quoted for a POSIX shell."""
        return " | ".join(shlex.join(part) for part in self.parts)


def through_effect(
    path: Path,
    output: Path | None = None,
    *,
    parameters: Parameters | None = None,
    settings: OutputSettings | None = None,
    overwrite: bool = False,
) -> Command:
    """The command that enhances a video by the effect.

    Raises: InputError, OutputError, EncoderError.
    """
    chosen = parameters or Parameters()
    with Reader(path) as decoder:
        plan = _plan(decoder, output, settings)
        source, first = decoder.source, decoder.source.first
        # Tracks have their faces where they are in the picture as it is stored.
        turned = 0 if chosen.tracks else first.rotation
        filters = chain(
            first.layout,
            chosen,
            size=(first.width, first.height),
            target=plan.pixel_format,
            tags=tags_of(source),
            rotation=turned,
            interlaced=first.interlaced,
        )
        words = [
            *("ffmpeg", *(["-y"] if overwrite else [])),
            *(["-noautorotate"] if first.rotation else []),
            *("-i", _address(path)),
            *_streams(source, plan, 0),
            *("-c", "copy"),
            *_encoding(source, plan, filters),
            _address(plan.path),
        ]
        return Command((tuple(words),), plan.path, (*_told(source, plan), *_host()))


def through_pipe(
    path: Path,
    output: Path | None = None,
    *,
    options: tuple[str, ...] = (),
    settings: OutputSettings | None = None,
    overwrite: bool = False,
) -> Command:
    """The commands that enhance a video at its full depth: FFmpeg, this program, FFmpeg.

    Args:   options: of ``crsr-video enhance``.
    Raises: InputError, OutputError, EncoderError.
    """
    with Reader(path) as decoder:
        plan = _plan(decoder, output, settings)
        source, first = decoder.source, decoder.source.first
        # A copied stream brings its colours along; a turned one has to be decoded, and stands
        # upright afterwards, since a pipe holds no display matrix.
        reading = ["-c", "copy"] if not first.rotation else ["-c:v", "ffv1", "-level", "3"]
        kind = "nut" if not first.rotation else "matroska"
        read = ["ffmpeg", "-v", "error", "-i", _address(path), "-map", f"0:{source.video.index}"]
        write = [
            *("ffmpeg", *(["-y"] if overwrite else [])),
            *("-f", "nut", "-i", "-", "-i", _address(path)),
            *_streams(source, plan, 1),
            *("-map_metadata", "1", "-map_chapters", "1", "-c", "copy"),
            *_encoding(source, plan, _retagged(source, plan)),
            _address(plan.path),
        ]
        parts = (
            (*read, *reading, "-f", kind, "-"),
            ("crsr-video", "enhance", "-", "-o", "-", *options),
            tuple(write),
        )
        return Command(parts, plan.path, (*plan.notices, *_host(effect=False)))


def tags_of(source: Source) -> Tags:
    """What a video says of its colours."""
    native = source.first.native
    full = source.first.layout.name.startswith("yuvj")
    return Tags(
        primaries=int(native.color_primaries),
        transfer=int(native.color_trc),
        matrix=int(native.colorspace),
        range=2 if full else int(native.color_range),
    )


def _plan(decoder: Reader, output: Path | None, settings: OutputSettings | None) -> OutputPlan:
    """What `enhance` would write, as far as the FFmpeg that is installed can.

    Raises: OutputError: the result would replace the source. EncoderError.
    """
    plan = plan_output(decoder.source, output, settings)
    if plan.path.exists() and plan.path.samefile(decoder.path):
        raise OutputError(f"{plan.path}: is the source itself")
    known = hosts.ffmpeg_encoders()
    if not known or plan.encoder in known:
        return plan
    told = f"your FFmpeg has no {plan.encoder}: {_FALLBACK} is used instead"
    other = plan_output(
        decoder.source, output, replace(settings or OutputSettings(), codec=_FALLBACK)
    )
    return replace(other, notices=(*other.notices, told))


def _streams(source: Source, plan: OutputPlan, file: int) -> list[str]:
    """Choose what comes along, in the source's order; the picture from the first input."""
    words: list[str] = []
    for stream in source.container.streams:
        if stream.index == source.video.index:
            words += ["-map", "0:v:0" if file else f"0:{stream.index}"]
        elif stream.index in plan.carried:
            words += ["-map", f"{file}:{stream.index}"]
    return words


def _encoding(source: Source, plan: OutputPlan, filters: str) -> list[str]:
    """The encoder of the one stream that is encoded."""
    videos = [stream.index for stream in source.container.streams.video]
    kept = [index for index in videos if index in (source.video.index, *plan.carried)]
    at = f":v:{kept.index(source.video.index)}" if len(kept) > 1 else ""
    words = [f"-c{at or ':v'}", plan.encoder]
    for key, value in plan.choice.options.items():
        words += [f"-{key}{at or (':v' if key == 'b' else '')}", value]
    words += [f"-filter{at}" if at else "-vf", filters]
    if source.first.interlaced != "progressive":
        words += [f"-flags{at}", "+ildct+ilme"]
    return [*words, *_timing(source, plan, at)]


def _timing(source: Source, plan: OutputPlan, at: str) -> list[str]:
    """Keep every frame's time."""
    if plan.choice.counts_frames:  # Such an encoder counts frames.
        return []
    base = source.info.time_base
    passing = [f"-fps_mode{at}", "passthrough"] if hosts.ffmpeg_knows_fps_mode() else []
    words = [*(passing or ["-vsync", "passthrough"])]
    words += [f"-enc_time_base{at}", f"{base.numerator}:{base.denominator}"]
    if plan.container in MOV and base.numerator == 1:
        words += ["-video_track_timescale", str(base.denominator)]
    return words


def _retagged(source: Source, plan: OutputPlan) -> str:
    """Raw pictures in a pipe have no colour tags."""
    parts = (retag(tags_of(source)), f"format={plan.pixel_format}")
    return ",".join(part for part in parts if part)


def _told(source: Source, plan: OutputPlan) -> tuple[str, ...]:
    """What the effect cannot keep."""
    bits = source.first.layout.bits
    told = list(plan.notices)
    if bits > 8:
        told.append(
            f"a frei0r effect sees 8 bits, and this video has {bits}: "
            "--pipe, or crsr-video enhance, keeps them all"
        )
    if source.first.interlaced != "progressive":
        told.append(
            "a frei0r effect knows no fields: faces that move are better off with "
            "crsr-video enhance"
        )
    return tuple(told)


def _host(*, effect: bool = True) -> tuple[str, ...]:
    """What is wanting on this machine."""
    host = hosts.ffmpeg()
    if host.path is None:
        return ("there is no ffmpeg on the search path",)
    if effect and not host.able:
        return (f"{host.path} was built without frei0r",)
    if effect and host.effect is None:
        return ("ffmpeg does not find the effect yet: crsr-video plugin install",)
    return ()


def _address(path: Path) -> str:
    """A file name that FFmpeg takes for nothing else."""
    text = str(path)
    return f"file:{text}" if ":" in text or text.startswith("-") else text
