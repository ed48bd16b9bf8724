"""Limits on what a file may claim. Everything beyond them is refused, or ignored with a message.

A header is only a claim: nothing may be allocated, opened or waited for because of it alone. These
limits lie far beyond what cameras and editors make, and a file within them is read.
"""

from collections.abc import Sized
from fractions import Fraction
from pathlib import Path

from crsr_video.errors import InputError

MAX_SIDE = 16384
"""Pixels along one side of a frame."""
MAX_PIXELS = 1 << 27
"""Pixels of a frame: 16K video (15360x8640) fits."""
MAX_STREAMS = 300
"""Attachments are streams too. FFmpeg may hold 1.5 MB for each stream before the first picture."""
MAX_CHAPTERS = 10_000
MAX_ATTACHED = 256 << 20
"""Bytes of all attachments together, such as fonts: they are held in memory."""
MAX_TAGS = 1 << 22
"""Characters of the metadata of a file and all its streams, names and values together."""
MAX_ASPECT = 20
"""A pixel that claims to be wider or higher than this is taken for a square one."""
OPENING_SECONDS = 60.0
"""Timeout for opening a file."""
DECODING_BYTES = 2 << 30
"""Bytes of pictures that decoding threads may hold: giant frames get fewer threads."""
GIANT_PIXELS = 1 << 26
"""Encoders hold few frames with more pixels than this, which is twice 8K video."""

PROTOCOLS = "file"
"""FFmpeg's protocols that a file may use; only to read itself, see `FORMATS`."""

FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "kux", "asf"),
    *("asf_o", "ogg", "nut", "mxf", "gxf", "lxf", "wtv", "dv", "dhav", "rm", "ivr", "nsv", "nuv"),
    *("pva", "ty", "pmp", "3dostr", "yuv4mpegpipe", "ivf", "gif", "apng", "jpegxl_anim", "swf"),
    *("h264", "hevc", "vvc", "evc", "av1", "obu", "apv", "m4v", "h261", "h263", "vc1", "vc1test"),
    *("dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "mjpeg", "mjpeg_2000", "mpjpeg", "smjpeg"),
    *("bink", "smk", "roq", "flic", "4xm", "film_cpk", "cine", "ser", "rpl", "vivo", "usm", "thp"),
    *("moflex", "filmstrip", "idcin", "wc3movie", "cdxl", "anm", "dxa", "frm", "mtv"),
    *("bethsoftvid", "png_pipe", "jpeg_pipe", "jpegls_pipe", "jpegxl_pipe", "j2k_pipe"),
    *("webp_pipe", "bmp_pipe", "tiff_pipe", "dpx_pipe", "exr_pipe", "hdr_pipe", "gif_pipe"),
    *("ppm_pipe", "pgm_pipe", "pam_pipe", "pfm_pipe", "qoi_pipe", "sgi_pipe", "sunrast_pipe"),
    *("psd_pipe", "pcx_pipe"),
    *("mp3", "aac", "wav", "flac", "aiff", "caf", "ac3", "eac3", "dts", "w64", "wv", "srt", "ass"),
)
"""FFmpeg's names of the formats that are read: containers, elementary streams and single pictures,
each complete in itself. Sound and subtitles are among them to report that they hold no picture.
Missing is whatever opens other files (hls, dash, concat, sdp, imf, image2, mlv, vobsub, avisynth),
devices, and formats that take any text for a picture."""


def opening_options() -> dict[str, str]:
    """Return FFmpeg's options under which a file is opened, but nothing that it refers to.

    FFmpeg checks the list of formats as soon as it knows the format, before its demuxer runs.
    """
    return {
        "format_whitelist": ",".join(FORMATS),
        "protocol_whitelist": PROTOCOLS,
        "max_streams": str(MAX_STREAMS),
    }


def stream_options() -> dict[str, str]:
    """Return FFmpeg's options for every decoder, also while a file is opened."""
    return {"max_pixels": str(MAX_PIXELS)}


def check_size(name: Path | str, width: int, height: int) -> None:
    """Check the size of frames.

    Args:
        name: Name of the source in messages.
        width: Width in pixels.
        height: Height in pixels.

    Raises:
        InputError: The frames are too large.
    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        most = f"up to {MAX_SIDE} a side and {MAX_PIXELS >> 20} million pixels"
        raise InputError(f"{name}: frames of {width}x{height} are too large ({most})")


def check_counts(
    name: Path | str, *, streams: Sized, chapters: Sized, attached: int, tags: int
) -> None:
    """Refuse a source that would fill the memory, and the result, with anything but video.

    Args:
        name: Name of the source in messages.
        streams: Its streams.
        chapters: Its chapters.
        attached: Bytes of all attachments.
        tags: Characters of all metadata.

    Raises:
        InputError: There is too much of one of them.
    """
    for what, count, most in (
        ("streams", len(streams), MAX_STREAMS),
        ("chapters", len(chapters), MAX_CHAPTERS),
        ("bytes of attachments", attached, MAX_ATTACHED),
        ("characters of metadata", tags, MAX_TAGS),
    ):
        if count > most:
            raise InputError(f"{name}: has too many {what} ({count}, but {most} at most)")


def threads_for(threads: int, width: int, height: int) -> int:
    """Return how many of some decoding threads may run for frames of a size.

    A thread holds about two pictures, of at most four bytes per pixel in all but rare formats.
    """
    return max(1, min(threads, DECODING_BYTES // max(8 * width * height, 1)))


def aspect(claimed: Fraction | None) -> Fraction:
    """Return the width of a pixel over its height as a file claims it, or 1 if it cannot be."""
    if claimed is None or not Fraction(1, MAX_ASPECT) <= claimed <= MAX_ASPECT:
        return Fraction(1)
    return claimed
