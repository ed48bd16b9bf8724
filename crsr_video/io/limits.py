"""Limits on the values that a file may state. Larger values are refused, or ignored with a message.

A header may be wrong or malicious, so nothing may be allocated, opened or waited for on its word
alone. These limits lie far beyond the files that cameras and editors write. Files within them are
read.
"""

from collections.abc import Sized
from fractions import Fraction
from pathlib import Path

from crsr_video.errors import InputError

MAX_SIDE = 16384
"""Maximum number of pixels along one side of a frame."""
MAX_PIXELS = 1 << 27
"""Maximum number of pixels of a frame. 16K video (15360x8640) has fewer."""
MAX_STREAMS = 300
"""Maximum number of streams, including attachments. FFmpeg may hold 1.5 MB for each stream before
the first picture."""
MAX_CHAPTERS = 10_000
MAX_ATTACHED = 256 << 20
"""Maximum total size in bytes of all attachments, such as fonts, which are held in memory."""
MAX_TAGS = 1 << 22
"""Maximum number of characters in the names and values of all metadata of a file and its
streams."""
MAX_ASPECT = 20
"""Maximum ratio of a pixel's longer side to its shorter side. If a file states a larger ratio, its
pixels are treated as square."""
OPENING_SECONDS = 60.0
"""Timeout for opening a file."""
DECODING_BYTES = 2 << 30
"""Maximum number of bytes of pictures that all decoding threads may hold. Giant frames therefore
get fewer threads."""
LOOKAHEAD_BYTES = 1 << 30
"""Maximum number of bytes of frames that an encoder holds back to look ahead, at about three bytes
for each pixel. Up to 4K, the usual lookahead of all encoders fits."""
GIANT_PIXELS = 1 << 25
"""Number of pixels, a little more than those of 8K video, above which encoders may hold only a few
frames."""

PROTOCOLS = "file"
"""FFmpeg's protocols that a file may use. It can use them only to read itself; see `FORMATS`."""

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
"""FFmpeg's names of the formats that are read: containers, elementary streams and single pictures.
Each of them is complete in one file. Formats of audio and subtitles are included so that the error
message can say that such a file holds no picture. Three groups are left out: formats that open
other files (hls, dash, concat, sdp, imf, image2, mlv, vobsub, avisynth), devices, and formats that
accept any text as a picture."""


def opening_options() -> dict[str, str]:
    """Return FFmpeg's options that open a file, but no other file that it refers to.

    FFmpeg checks the list of formats as soon as it knows the format, before its demuxer runs.
    """
    return {
        "format_whitelist": ",".join(FORMATS),
        "protocol_whitelist": PROTOCOLS,
        "max_streams": str(MAX_STREAMS),
    }


def stream_options() -> dict[str, str]:
    """Return FFmpeg's options for all decoders, including those that run while a file is opened."""
    return {"max_pixels": str(MAX_PIXELS)}


def check_size(name: Path | str, width: int, height: int) -> None:
    """Check the size of frames in pixels.

    Raises:
        InputError: The frames are too large.
    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        most = f"up to {MAX_SIDE} a side and {MAX_PIXELS >> 20} million pixels"
        raise InputError(f"{name}: frames of {width}x{height} are too large ({most})")


def check_counts(
    name: Path | str, *, streams: Sized, chapters: Sized, attached: int, tags: int
) -> None:
    """Refuse a source that would fill the memory and the result with data other than video.

    Args:
        name: Name of the source in messages.
        streams: Its streams.
        chapters: Its chapters.
        attached: Bytes of all attachments.
        tags: Characters of all metadata.

    Raises:
        InputError: One of the counts is beyond its limit.
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
    """Return the number of decoding threads, at most `threads`, that frames of this size allow.

    A thread holds about two pictures. A pixel takes at most four bytes in all but rare formats.
    """
    return max(1, min(threads, DECODING_BYTES // max(8 * width * height, 1)))


def aspect(claimed: Fraction | None) -> Fraction:
    """Return a stated pixel aspect ratio (width over height), or 1 if it is missing or absurd."""
    if claimed is None or not Fraction(1, MAX_ASPECT) <= claimed <= MAX_ASPECT:
        return Fraction(1)
    return claimed
