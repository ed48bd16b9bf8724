"""FFmpeg commands that enhance one video and keep everything else in it."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.containers import MOV
from crsr_video.io.output_plan import OutputPlan, plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.source import RecordedSource
from crsr_video.plugins import status
from crsr_video.plugins.ffmpeg_filters import (
    ColourTags,
    EffectParameters,
    filter_chain,
    tag_filter,
)

_FALLBACK_ENCODER = "libx264"


@dataclass(frozen=True, slots=True)
class FfmpegCommand:
    """One command, or several commands that are connected by pipes."""

    parts: tuple[tuple[str, ...], ...]
    """The programs with their arguments."""
    output: Path
    notices: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command quoted for a POSIX shell."""
        return " | ".join(shlex.join(part) for part in self.parts)


def through_effect(
    path: Path,
    output: Path | None = None,
    *,
    parameters: EffectParameters | None = None,
    settings: OutputSettings | None = None,
    overwrite: bool = False,
) -> FfmpegCommand:
    """Return a command that enhances a video with the effect.

    Args:
        path: The video.
        output: The file to write. Defaults to the name that ``crsr-video enhance`` would choose.
        parameters: Parameters of the effect.
        settings: Settings of the encoder.
        overwrite: Let the command replace the output.
    """
    chosen = parameters or EffectParameters()
    with Reader(path) as reader:
        plan = _plan(reader, output, settings)
        source, first = reader.source, reader.source.first
        filters = filter_chain(
            first.layout,
            chosen,
            size=(first.width, first.height),
            pixel_format=plan.pixel_format,
            tags=colour_tags(source),
            # The positions in a tracks file refer to the stored picture, before rotation.
            rotation=0 if chosen.tracks else first.rotation,
            interlaced=first.interlaced,
        )
        words = (
            *("ffmpeg", *(["-y"] if overwrite else [])),
            *(["-noautorotate"] if first.rotation else []),
            *("-i", _file_argument(path)),
            *_stream_arguments(source, plan, 0),
            *("-c", "copy"),
            *_encoder_arguments(source, plan, filters),
            _file_argument(plan.path),
        )
        notices = (*plan.notices, *_limits_of_effect(source), *_problems_of_ffmpeg())
        return FfmpegCommand((words,), plan.path, notices)


def through_pipe(
    path: Path,
    output: Path | None = None,
    *,
    options: tuple[str, ...] = (),
    settings: OutputSettings | None = None,
    overwrite: bool = False,
) -> FfmpegCommand:
    """Return commands that enhance a video at its full bit depth: FFmpeg, crsr-video, FFmpeg.

    Args:
        path: The video.
        output: The file to write. Defaults to the name that ``crsr-video enhance`` would choose.
        options: Options of ``crsr-video enhance``.
        settings: Settings of the encoder.
        overwrite: Let the command replace the output.
    """
    with Reader(path) as reader:
        plan = _plan(reader, output, settings)
        source, first = reader.source, reader.source.first
        # A copied stream keeps its colour tags. A rotated one must be decoded and is upright
        # afterwards, because a pipe holds no display matrix.
        reading = ["-c:v", "ffv1", "-level", "3"] if first.rotation else ["-c", "copy"]
        container = "matroska" if first.rotation else "nut"
        tags = tag_filter(colour_tags(source))  # Raw video in a pipe has no colour tags.
        filters = ",".join(part for part in (tags, f"format={plan.pixel_format}") if part)
        decode = (
            *("ffmpeg", "-v", "error", "-i", _file_argument(path)),
            *("-map", f"0:{source.video.index}", *reading, "-f", container, "-"),
        )
        encode = (
            *("ffmpeg", *(["-y"] if overwrite else [])),
            *("-f", "nut", "-i", "-", "-i", _file_argument(path)),
            *_stream_arguments(source, plan, 1),
            *("-map_metadata", "1", "-map_chapters", "1", "-c", "copy"),
            *_encoder_arguments(source, plan, filters),
            _file_argument(plan.path),
        )
        enhance = ("crsr-video", "enhance", "-", "-o", "-", *options)
        notices = (*plan.notices, *_problems_of_ffmpeg(needs_effect=False))
        return FfmpegCommand((decode, enhance, encode), plan.path, notices)


def colour_tags(source: RecordedSource) -> ColourTags:
    """Return the colour tags of a video."""
    native = source.first.native
    is_full = source.first.layout.name.startswith("yuvj")
    return ColourTags(
        primaries=int(native.color_primaries),
        transfer=int(native.color_trc),
        matrix=int(native.colorspace),
        range=2 if is_full else int(native.color_range),
    )


def _plan(reader: Reader, output: Path | None, settings: OutputSettings | None) -> OutputPlan:
    """Return the plan of ``crsr-video enhance``, with an encoder that the installed FFmpeg has."""
    plan = plan_output(reader.source, output, settings)
    if plan.path.exists() and plan.path.samefile(reader.path):
        raise OutputError(f"{plan.path}: the output is the input itself")
    encoders = status.ffmpeg_encoders()
    if not encoders or plan.encoder in encoders:
        return plan
    notice = f"this FFmpeg has no {plan.encoder}: {_FALLBACK_ENCODER} is used instead"
    fallback = replace(settings or OutputSettings(), codec=_FALLBACK_ENCODER)
    other = plan_output(reader.source, output, fallback)
    return replace(other, notices=(*other.notices, notice))


def _stream_arguments(source: RecordedSource, plan: OutputPlan, file: int) -> list[str]:
    """Return the arguments that select the streams, in the source's order.

    The video comes from the first input, and everything else from the input with the number `file`.
    """
    words: list[str] = []
    for stream in source.container.streams:
        if stream.index == source.video.index:
            words += ["-map", "0:v:0" if file else f"0:{stream.index}"]
        elif stream.index in plan.carried:
            words += ["-map", f"{file}:{stream.index}"]
    return words


def _encoder_arguments(source: RecordedSource, plan: OutputPlan, filters: str) -> list[str]:
    videos = [stream.index for stream in source.container.streams.video]
    kept = [index for index in videos if index in (source.video.index, *plan.carried)]
    at = f":v:{kept.index(source.video.index)}" if len(kept) > 1 else ""
    words = [f"-c{at or ':v'}", plan.encoder]
    for key, value in plan.choice.options.items():
        words += [f"-{key}{at or (':v' if key == 'b' else '')}", value]
    words += [f"-filter{at}" if at else "-vf", filters]
    if source.first.interlaced != "progressive":
        words += [f"-flags{at}", "+ildct+ilme"]
    return [*words, *_timing_arguments(source, plan, at)]


def _timing_arguments(source: RecordedSource, plan: OutputPlan, at: str) -> list[str]:
    """Return the arguments that keep the time of every frame."""
    if plan.choice.counts_frames:
        return []
    base = source.info.time_base
    option = f"-fps_mode{at}" if status.ffmpeg_has_fps_mode() else "-vsync"
    words = [option, "passthrough", f"-enc_time_base{at}", f"{base.numerator}:{base.denominator}"]
    if plan.container in MOV and base.numerator == 1:
        words += ["-video_track_timescale", str(base.denominator)]
    return words


def _limits_of_effect(source: RecordedSource) -> tuple[str, ...]:
    """Return notices about properties of this video that the effect cannot preserve."""
    notices = []
    bits = source.first.layout.bits
    if bits > 8:
        notices.append(
            f"a frei0r effect gets 8 bits per sample, and this video has {bits}: "
            "--pipe and 'crsr-video enhance' keep all of them"
        )
    if source.first.interlaced != "progressive":
        notices.append(
            "a frei0r effect cannot separate the fields of interlaced video: "
            "'crsr-video enhance' handles moving faces better"
        )
    return tuple(notices)


def _problems_of_ffmpeg(*, needs_effect: bool = True) -> tuple[str, ...]:
    """Return notices about what FFmpeg on this machine lacks for the command."""
    host = status.ffmpeg()
    if host.path is None:
        return ("there is no ffmpeg on the search path",)
    if needs_effect and not host.able:
        return (f"{host.path} was built without frei0r",)
    if needs_effect and host.effect is None:
        return ("ffmpeg does not find the effect: run 'crsr-video plugin install'",)
    return ()


def _file_argument(path: Path) -> str:
    """Return a path in a form that FFmpeg cannot mistake for an option or an address."""
    text = str(path)
    return f"file:{text}" if ":" in text or text.startswith("-") else text
