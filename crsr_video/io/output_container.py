"""Choose the container of a recorded result, and the name of the file, which depends on it."""

from pathlib import Path

from crsr_video.errors import ConfigError, EncoderError, OutputError
from crsr_video.io.containers import (
    BY_SUFFIX,
    FALLBACK,
    SUFFIXES,
    holds_video,
    usual_encoder,
)
from crsr_video.io.destinations.address import (
    Destination,
    file_destination,
    standard_output_destination,
)
from crsr_video.io.source import RecordedSource

_KIN = {
    "mov": ("mp4", "mov", "3gp", "3g2"),
    "matroska": ("matroska", "webm"),
    "gif": ("mp4",),  # GIF's 256 colours would undo the enhancement.
    "mpeg": ("mpeg", "vob"),
}
"""Containers for the sources of each demuxer, the default first. The sources of all other demuxers
use the container of the same name."""


def destination_for(
    source: RecordedSource, output: Path | str | None, container: str | None
) -> tuple[Destination, str, tuple[str, ...]]:
    """Return the destination, its suffix and notices.

    The suffix of the output selects the container. Without an output, the result gets a
    container like that of the source.

    Raises:
        OutputError: The suffix belongs to no container that can be written.
        ConfigError: A container was chosen for a file, or the source is a pipe, which has no name
            for the result to follow.
    """
    if output is not None and str(output) == "-":
        destination = standard_output_destination(container)
        return destination, container or destination.container, ()
    if container is not None:
        raise ConfigError(
            "`container` is for standard output (-o -): a file's suffix selects its format"
        )
    if output is None and source.is_pipe:
        raise ConfigError("standard input has no name to follow: use -o to name the result")
    if output is not None:
        path = Path(output)
        suffix = path.suffix.lower()
        if suffix not in BY_SUFFIX:
            known = ", ".join(BY_SUFFIX)
            raise OutputError(f"{path}: no container is written for {suffix!r}, only {known}")
        return file_destination(path, BY_SUFFIX[suffix]), suffix, ()
    name, suffix, notices = _container_like(source)
    path = source.path.with_suffix(f".enhanced{suffix}")
    return file_destination(path, name), suffix, notices


def _container_like(source: RecordedSource) -> tuple[str, str, tuple[str, ...]]:
    """Return a container like the source's, its suffix, and a notice if the format changes."""
    demuxer, own = source.info.container.split(",")[0], source.path.suffix
    kin = _KIN.get(demuxer, (demuxer,))
    if BY_SUFFIX.get(own.lower()) in kin:
        return BY_SUFFIX[own.lower()], own, ()
    if kin[0] in SUFFIXES:
        notices = ("GIF is written as MP4",) if demuxer == "gif" else ()
        return kin[0], SUFFIXES[kin[0]][0], notices
    notice = f"container {demuxer} is not written, Matroska is used instead"
    return FALLBACK, SUFFIXES[FALLBACK][0], (notice,)


def reconcile(
    destination: Destination,
    suffix: str,
    encoder: str,
    is_path_given: bool,
    is_codec_given: bool,
) -> tuple[Destination, str, tuple[str, ...]]:
    """Change the container or the encoder, whichever the user did not choose.

    Raises:
        EncoderError: The user chose both, or no other container or encoder fits.
    """
    container = destination.container
    if not is_path_given and holds_video(FALLBACK, encoder):
        path = destination.path.with_suffix(SUFFIXES[FALLBACK][0])
        notice = f"{container} cannot hold {encoder}'s video, Matroska is used instead"
        return file_destination(path, FALLBACK), encoder, (notice,)
    other = usual_encoder(container)
    if is_codec_given or other is None:
        kind = f"a {suffix} file" if suffix.startswith(".") else suffix
        suited = [
            name for name in (".mov", ".mkv", ".mp4") if holds_video(BY_SUFFIX[name], encoder)
        ]
        advice = f": use {' or '.join(suited)}" if suited else ""
        raise EncoderError(f"{encoder} does not fit into {kind}{advice}")
    notice = f"{suffix} cannot hold the source's codec, {other} is used"
    return destination, other, (notice,)
