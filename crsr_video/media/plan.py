"""Where a result goes: container, encoder, pixel format, and what has to stay behind.

The source's own are kept wherever they can be written; what cannot be kept is said.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from crsr_video.config import COPY_LIKE, EncodeSettings
from crsr_video.errors import OutputError
from crsr_video.media import encoders
from crsr_video.media.containers import (
    BY_SUFFIX,
    FALLBACK,
    MATROSKA,
    MOV,
    SUFFIXES,
    container_for,
    holds,
    reconcile,
    takes,
)
from crsr_video.media.losses import avi_clock, carried, picture_notices, tag_notices, time_notice
from crsr_video.media.source import HasSource, Source, bit_rate

__all__ = [
    "BY_SUFFIX",
    "FALLBACK",
    "MATROSKA",
    "MOV",
    "SUFFIXES",
    "OutputPlan",
    "avi_clock",
    "holds",
    "plan_output",
    "takes",
]


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """What will be written, and what it costs."""

    path: Path
    container: str
    """FFmpeg's name of the muxer."""
    choice: encoders.Choice
    """The encoder and its settings."""
    carried: tuple[int, ...]
    """Indices of the source's streams that come along."""
    notices: tuple[str, ...]

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return self.choice.encoder

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the pixel format that is encoded."""
        return self.choice.pixel_format


def plan_output(
    decoder: HasSource,
    output: Path | str | None = None,
    settings: EncodeSettings | None = None,
    *,
    scale: int = 1,
) -> OutputPlan:
    """Decide on container, encoder and pixel format; nothing is written.

    The source's own are kept wherever they can be written.
    Args: output: where to; None: beside the source as NAME.enhanced.EXT.
    Raises: EncoderError: the encoder does not exist, or does not fit the container or the picture.
            OutputError: the suffix belongs to no container that is written, or not everything can
            be kept and the settings are strict.
    """
    source = decoder.source
    settings = _resolved(settings or EncodeSettings(), source, scale)
    codec = source.video.codec_context.codec.canonical_name
    encoder, notices = encoders.encoder_name(
        codec, settings.codec, source.first.layout.family == "rgb"
    )
    container, suffix, told = container_for(source, Path(output) if output else None)
    if not takes(container, encoder):
        container, suffix, encoder, more = reconcile(
            container, suffix, encoder, output is not None, settings.codec is not None
        )
        told += more
    path = Path(output) if output else source.path.with_suffix(f".enhanced{suffix}")
    choice = _choice(source, encoder, settings, codec, scale)
    if container == "avi" and encoder in ("libx264", "libx265"):
        choice.options.setdefault("bf", "0")  # Reordered pictures would have no times.
    kept, dropped = carried(source, container)
    told += (*time_notice(source, container), *picture_notices(source, container, encoder))
    told += tag_notices(source, container)
    if _is_gif(source):
        told += (f"a GIF is written as {choice.pixel_format} video, which plays everywhere",)
    plan = OutputPlan(path, container, choice, kept, (*notices, *told, *choice.notices, *dropped))
    if settings.strict and plan.notices:
        raise OutputError(f"{path}: not written, as asked by --strict: {'; '.join(plan.notices)}")
    return plan


def _resolved(settings: EncodeSettings, source: Source, scale: int) -> EncodeSettings:
    """What "copy-like" means for this source: its codec at its bit rate.

    An enlarged picture gets bits in proportion to its sides, not its area: it holds little more.
    """
    if settings.codec != COPY_LIKE:
        return settings
    codec = source.video.codec_context.codec.canonical_name
    name, _ = encoders.encoder_name(codec, None, source.first.layout.family == "rgb")
    bits = None if encoders.has_own_rate(name) else bit_rate(source)
    return replace(settings, codec=None, bitrate=bits * scale if bits else None)


def _choice(
    source: Source, encoder: str, settings: EncodeSettings, codec: str, scale: int
) -> encoders.Choice:
    first, found = source.first, encoders.find(encoder)
    same = found is not None and found.canonical_name == codec
    return encoders.choose(
        encoder,
        settings,
        "yuv420p" if _is_gif(source) else first.layout.name,
        (first.width * scale, first.height * scale),
        source.info.rate,
        source.info.bit_rate,
        source.video.codec_context.profile if same else None,
    )


def _is_gif(source: Source) -> bool:
    """A GIF is converted: its palette would undo the work, and few players take RGB video."""
    return source.info.container == "gif"
