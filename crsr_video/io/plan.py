"""Where a result goes: container, encoder, pixel format, and what has to stay behind.

The source's own are kept wherever they can be written; what cannot be kept is said.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from crsr_video.config import COPY_LIKE, OutputSettings
from crsr_video.errors import ConfigError, OutputError
from crsr_video.io import encoders, pipes
from crsr_video.io.containers import (
    BARE,
    BY_SUFFIX,
    FALLBACK,
    MATROSKA,
    MOV,
    RAW,
    SUFFIXES,
    container_for,
    holds,
    raw_format,
    reconcile,
    takes,
)
from crsr_video.io.losses import avi_clock, carried, picture_notices, tag_notices, time_notice
from crsr_video.io.source import HasSource, Source, bit_rate

__all__ = [
    "BARE",
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
    def is_pipe(self) -> bool:
        """It goes to standard output."""
        return pipes.is_standard(self.path)

    @property
    def is_raw_pipe(self) -> bool:
        """It goes there as raw pictures, which are large and come out at once."""
        return self.is_pipe and self.encoder == "rawvideo"

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return pipes.OUTPUT if self.is_pipe else str(self.path)

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
    settings: OutputSettings | None = None,
    *,
    scale: int = 1,
) -> OutputPlan:
    """Decide on container, encoder and pixel format; nothing is written.

    The source's own are kept wherever they can be written.
    Args: output: where to; None: beside the source as NAME.enhanced.EXT; "-": standard output.
    Raises: EncoderError: the encoder does not exist, or does not fit the container or the picture.
            OutputError: the suffix belongs to no container that is written, or not everything can
            be kept and the settings are strict.
            ConfigError: the settings do not go with a pipe.
    """
    source = decoder.source
    settings = settings or OutputSettings()
    path = Path(output) if output else None
    container, suffix, told = container_for(source, path, settings.container)
    settings = _resolved(settings, source, scale)
    codec = source.video.codec_context.codec.canonical_name
    asked, more = _raw_or_not(source, container, settings.codec, piped=pipes.is_standard(path))
    told += more
    encoder, notices = encoders.encoder_name(codec, asked, source.first.layout.family == "rgb")
    if not takes(container, encoder):
        container, suffix, encoder, more = reconcile(
            container, suffix, encoder, output is not None, settings.codec is not None
        )
        told += more
    path = path or source.path.with_suffix(f".enhanced{suffix}")
    if encoder == "rawvideo" and pipes.is_standard(path) and "pix_fmt" not in settings.options:
        pixels = raw_format(container, source.first.layout.name)
        settings = replace(settings, options={**settings.options, "pix_fmt": pixels})
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
        raise OutputError(
            f"{plan.name}: not written, as asked by --strict: {'; '.join(plan.notices)}"
        )
    return plan


def _raw_or_not(
    source: Source, container: str, asked: str | None, *, piped: bool
) -> tuple[str | None, tuple[str, ...]]:
    """The codec where pipes decide about it: raw pictures travel, but are not stored.

    Returns: the codec to ask for, None for the source's, and what to tell the user.
    """
    if asked is not None:
        return asked, ()
    if piped and container in RAW:
        return "rawvideo", ()
    if source.is_pipe and source.video.codec_context.codec.canonical_name == "rawvideo":
        told = f"the raw pictures are written with {encoders.FALLBACK}, visually lossless"
        return (encoders.FALLBACK, (told,)) if takes(container, encoders.FALLBACK) else (None, ())
    return None, ()


def _resolved(settings: OutputSettings, source: Source, scale: int) -> OutputSettings:
    """What "copy-like" means for this source: its codec at its bit rate.

    An enlarged picture gets bits in proportion to its sides, not its area: it holds little more.
    """
    if settings.codec != COPY_LIKE:
        return settings
    codec = source.video.codec_context.codec.canonical_name
    name, _ = encoders.encoder_name(codec, None, source.first.layout.family == "rgb")
    bits = None if encoders.has_own_rate(name) else bit_rate(source)
    if bits == 0 and source.is_pipe:
        raise ConfigError("copy-like needs the source's bit rate, which a pipe does not tell")
    return replace(settings, codec=None, bitrate=bits * scale if bits else None)


def _choice(
    source: Source, encoder: str, settings: OutputSettings, codec: str, scale: int
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
