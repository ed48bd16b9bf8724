"""Plan an output: choose container, encoder, pixel format and copied streams, and list losses.

A recorded result keeps the properties of its source wherever they can be written. The results of
live sources are planned in `live_writer`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from crsr_video.config import COPY_LIKE, OutputSettings
from crsr_video.errors import ConfigError, OutputError
from crsr_video.io import encoders, losses, muxer_options
from crsr_video.io.clock import Timing, recorded_timing
from crsr_video.io.containers import (
    MATROSKA,
    RAW,
    holds_video,
    raw_format,
)
from crsr_video.io.destinations.address import (
    Destination,
    file_destination,
)
from crsr_video.io.encoders import EncoderChoice
from crsr_video.io.output_container import destination_for, reconcile
from crsr_video.io.pictures import PictureShape, shape_for
from crsr_video.io.pixel_formats import has_alpha
from crsr_video.io.source import RecordedSource, bit_rate, field_order
from crsr_video.types import FieldOrder, Frame

_PURPOSES = {
    "share": (".mp4", OutputSettings(codec="h264", crf=25.0)),
    "edit": (".mov", OutputSettings(codec="prores")),
    "archive": (".mkv", OutputSettings(codec="ffv1")),
}
"""Suffix of the default name and encoder settings for each `OutputSettings.purpose`."""


_SHARE_OF_SOURCE = 0.9
"""Maximum bit rate of a video for sharing, as a share of the source's bit rate. It is below 1
because the first second exceeds the maximum."""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Description of an output: what is written, where it goes, and what is lost."""

    destination: Destination
    choice: EncoderChoice
    shape: PictureShape
    timing: Timing
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[int, ...] = ()
    """Indices of the source's streams that are copied."""
    notices: tuple[str, ...] = ()
    """Notices to the user about what is lost."""
    is_live: bool = False
    """Whether the source is live, so that latency matters and the picture format may change."""

    @property
    def path(self) -> Path:
        """Path of the result; "-" for standard output."""
        return self.destination.path

    @property
    def container(self) -> str:
        """FFmpeg's name of the container."""
        return self.destination.container

    @property
    def is_pipe(self) -> bool:
        """Whether the result goes to standard output."""
        return self.destination.is_standard_output

    @property
    def name(self) -> str:
        """Name of the result in messages."""
        return self.destination.name

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return self.choice.encoder

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the pixel format that is encoded."""
        return self.choice.pixel_format

    @property
    def has_separate_alpha(self) -> bool:
        """Whether the container keeps the transparency as a second video, as for VP8 and VP9."""
        is_vpx = self.encoder.startswith("libvpx")
        return is_vpx and self.container in MATROSKA and has_alpha(self.pixel_format)

    @property
    def keyframe_seconds(self) -> float:
        """Longest time between two keyframes of a live result."""
        return 1.0 if self.destination.container in ("hls", "whip") else 2.0

    def for_segment(self, path: Path, container: str, source: RecordedSource) -> "OutputPlan":
        """Return the plan for a file that holds a part of this result's video, and nothing else.

        Args:
            path: The file.
            container: FFmpeg's name of the file's muxer, which must keep all timestamps.
            source: The source of the whole result.
        """
        counts_frames = self.choice.counts_frames
        timing = recorded_timing(source, container, self.encoder, counts_frames=counts_frames)
        return replace(
            self,
            destination=file_destination(path, container),
            timing=timing,
            muxer_options=muxer_options.recorded_options(source, container, timing.tick),
            carried=(),
            notices=(),
        )


def plan_output(
    source: RecordedSource,
    output: Path | str | None = None,
    settings: OutputSettings | None = None,
    *,
    scale: int = 1,
) -> OutputPlan:
    """Plan the result of a recorded source, without writing anything.

    Args:
        source: The opened source.
        output: Path of the result, by default ``NAME.enhanced.EXT`` beside the source; "-" is
            standard output.
        settings: The user's choices.
        scale: Factor by which the result is larger than the source.

    Raises:
        EncoderError: The encoder does not exist, or does not fit the container or the picture.
        OutputError: The suffix belongs to no container that can be written, or something is lost
            although the settings are strict.
        ConfigError: A setting does not suit the output, or does not work with a pipe.
    """
    settings, first = settings or OutputSettings(), source.first
    if output is None and settings.purpose is not None:
        output = source.path.with_suffix(f".enhanced{_PURPOSES[settings.purpose][0]}")
    destination, suffix, notices = destination_for(source, output, settings.container)
    settings = _resolve_copy_like(_resolve_purpose(settings, source, scale), source, scale)
    destination, encoder, notices = _encoder_for(
        source, destination, suffix, settings.codec, notices, is_path_given=output is not None
    )
    container = destination.container
    if encoder == encoders.RAW and destination.is_standard_output:
        settings = with_raw_format(settings, container, first)
    choice = _choose(source, encoder, settings, scale)
    if container == "avi" and encoder in ("libx264", "libx265"):
        choice.options.setdefault("bf", "0")  # AVI cannot store times of reordered frames.
    timing = recorded_timing(source, container, encoder, counts_frames=choice.counts_frames)
    options = muxer_options.recorded_options(source, container, timing.tick)
    if destination.is_standard_output:
        options |= muxer_options.recorded_pipe_options(encoder)
    shape = shape_for(
        first.layout, choice.pixel_format, (first.width * scale, first.height * scale)
    )
    aspect = first.sample_aspect / losses.stereo_multiplier(source)
    matrix, full, converted = losses.encoded_colours(first, container, encoder)
    if converted:
        shape = replace(shape, matrix=matrix, full_range=full)
    shape = replace(shape, sample_aspect=aspect, interlaced=field_order(source))
    carried, left_out = losses.carried_streams(source, container)
    plan = OutputPlan(
        destination,
        choice,
        shape,
        timing,
        options,
        carried,
        (
            *notices,
            *_loss_notices(source, container, choice, timing.tick, shape.interlaced),
            *converted,
            *choice.notices,
            *left_out,
        ),
    )
    return refuse_losses(plan, settings)


def _encoder_for(
    source: RecordedSource,
    destination: Destination,
    suffix: str,
    asked: str | None,
    notices: tuple[str, ...],
    *,
    is_path_given: bool,
) -> tuple[Destination, str, tuple[str, ...]]:
    """Return a destination and an encoder that fit each other, and notices."""
    codec, is_rgb = _codec(source), source.first.layout.family == "rgb"
    wanted, more = _raw_or_coded(source, destination, asked)
    encoder, replaced = encoders.encoder_name(codec, wanted, is_rgb)
    notices = (*replaced, *notices, *more)
    if holds_video(destination.container, encoder):
        return destination, encoder, notices
    destination, encoder, more = reconcile(
        destination, suffix, encoder, is_path_given, asked is not None
    )
    return destination, encoder, (*notices, *more)


def _codec(source: RecordedSource) -> str:
    return source.video.codec_context.codec.canonical_name


def _loss_notices(
    source: RecordedSource,
    container: str,
    choice: EncoderChoice,
    tick: Fraction,
    interlaced: FieldOrder,
) -> tuple[str, ...]:
    """Return notices about losses of timestamps, picture properties and metadata."""
    first, encoder = source.first, choice.encoder
    is_converted = choice.pixel_format != first.layout.name
    keeps_fields = losses.keeps_fields(container, encoder, is_converted=is_converted)
    notices = (
        *losses.time_notices(source, container, tick),
        *losses.picture_notices(first, container, encoder),
        *losses.field_notices(interlaced, encoder, are_kept=keeps_fields),
        *losses.unkept_properties(source, container, encoder),
        *losses.tag_notices(source, container),
    )
    if _is_gif(source):
        notices += (f"a GIF is written as {choice.pixel_format} video, which plays everywhere",)
    return notices


def refuse_losses(plan: OutputPlan, settings: OutputSettings) -> OutputPlan:
    """Return a plan, unless something is lost although the settings are strict.

    Raises:
        OutputError: Something is lost.
    """
    if settings.strict and plan.notices:
        raise OutputError(
            f"{plan.name}: not written because of `strict`: {'; '.join(plan.notices)}"
        )
    return plan


def _raw_or_coded(
    source: RecordedSource, destination: Destination, asked: str | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return the codec to ask for, and notices.

    By default, pictures are written raw to standard output if its container is one for raw
    pictures. Otherwise, raw pictures from a pipe are encoded where the container allows it.
    """
    if asked is not None:
        return asked, ()
    if destination.is_standard_output and destination.container in RAW:
        return encoders.RAW, ()
    if (
        source.is_pipe
        and _codec(source) == encoders.RAW
        and holds_video(destination.container, encoders.FALLBACK)
    ):
        notice = f"the raw pictures are written with {encoders.FALLBACK}, visually lossless"
        return encoders.FALLBACK, (notice,)
    return None, ()


def usual_suffix(settings: OutputSettings, suffix: str) -> str:
    """Return the suffix of a default name.

    Args:
        settings: The user's choices.
        suffix: The suffix of the source.
    """
    return suffix if settings.purpose is None else _PURPOSES[settings.purpose][0]


def _resolve_purpose(
    settings: OutputSettings, source: RecordedSource, scale: int
) -> OutputSettings:
    """Replace the purpose by encoder settings, without changing those that the user chose.

    If the user chose a codec, the purpose has no effect on the encoder settings.

    A video for sharing has a format that every player supports, and a bit rate that does not exceed
    that of the source.
    """
    if settings.purpose is None:
        return settings
    usual = _PURPOSES[settings.purpose][1]
    if settings.codec is not None:
        return settings
    has_rate = settings.crf is not None or settings.bitrate is not None
    crf = settings.crf if has_rate else usual.crf
    options = dict(settings.options)
    if settings.purpose == "share":
        first = source.first
        if first.width * scale % 2 == first.height * scale % 2 == 0:
            options.setdefault("pix_fmt", "yuv420p")
        bits = 0 if has_rate else round(_SHARE_OF_SOURCE * bit_rate(source) * scale)
        if bits:
            options = {"maxrate": str(bits), "bufsize": str(bits)} | options
    return replace(settings, codec=usual.codec, crf=crf, options=options)


def _resolve_copy_like(
    settings: OutputSettings, source: RecordedSource, scale: int
) -> OutputSettings:
    """Replace "copy-like" by the source's codec at its bit rate.

    The bit rate grows in proportion to the width of an enlarged picture, not to its area, because
    the enlarged picture holds little more detail.
    """
    if settings.codec != COPY_LIKE:
        return settings
    name, _ = encoders.encoder_name(_codec(source), None, source.first.layout.family == "rgb")
    bits = None if encoders.has_own_rate(name) else bit_rate(source)
    if bits == 0 and source.is_pipe:
        raise ConfigError(
            "copy-like needs the bit rate of the source, which a pipe does not contain"
        )
    return replace(settings, codec=None, bitrate=bits * scale if bits else None)


def with_raw_format(settings: OutputSettings, container: str, first: Frame) -> OutputSettings:
    """Set a raw pixel format that the container can hold, similar to the user's or the source's."""
    if container == "rawvideo" and "pix_fmt" in settings.options:
        return settings
    name = raw_format(container, settings.options.get("pix_fmt", first.layout.name))
    return replace(settings, options={**settings.options, "pix_fmt": name})


def _choose(
    source: RecordedSource, encoder: str, settings: OutputSettings, scale: int
) -> EncoderChoice:
    first, found = source.first, encoders.find(encoder)
    same = found is not None and found.canonical_name == _codec(source)
    return encoders.choose(
        encoder,
        settings,
        "yuv420p" if _is_gif(source) else first.layout.name,
        (first.width * scale, first.height * scale),
        source.info.rate,
        source.info.bit_rate,
        source.video.codec_context.profile if same else None,
    )


def _is_gif(source: RecordedSource) -> bool:
    """Return whether the source is a GIF, whose RGB pictures few players support in a video."""
    return source.info.container == "gif"
