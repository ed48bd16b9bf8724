"""What a file may claim and is still believed; everything beyond is refused or ignored in words.

A header is a claim: nothing may be allocated, opened or waited for on its word alone. These bounds
lie far beyond what cameras and editors make, and are the only ones: a file within them is read.
"""

from collections.abc import Sized
from fractions import Fraction
from pathlib import Path

from crsr_video.errors import InputError

MAX_SIDE = 16384
"""Pixels along one side of a frame."""
MAX_PIXELS = 1 << 27
"""Pixels of a frame: 16K video (15360x8640) fits."""
MAX_STREAMS = 1000
MAX_CHAPTERS = 10_000
MAX_ATTACHED = 256 << 20
"""Bytes of fonts and the like, all attachments together: they are held in memory."""
MAX_TAGS = 1 << 22
"""Characters of names and values of metadata, of the file and all its streams together."""
MAX_ASPECT = 20
"""A pixel that is wider or higher than this is taken for a square one."""
OPENING_SECONDS = 60.0
"""After which a file that does not finish opening is given up."""
DECODING_BYTES = 2 << 30
"""Of pictures that decoding threads may hold: there are fewer of them for giant frames."""

PROTOCOLS = "file"
"""FFmpeg's ways to bytes that are open to a source; for itself only, see `FORMATS`."""

FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "kux", "asf"),
    *("asf_o", "ogg", "nut", "mxf", "gxf", "lxf", "wtv", "dv", "dhav", "rm", "ivr", "nsv", "nuv"),
    *("pva", "ty", "pmp", "3dostr", "yuv4mpegpipe", "ivf", "gif", "apng", "jpegxl_anim", "swf"),
    *("h264", "hevc", "vvc", "evc", "av1", "obu", "apv", "m4v", "h261", "h263", "vc1", "vc1test"),
    *("dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "mjpeg", "mjpeg_2000", "mpjpeg", "smjpeg"),
    *("bink", "smk", "roq", "flic", "4xm", "film_cpk", "cine", "ser", "rpl", "vivo", "usm", "thp"),
    *(
        "moflex",
        "filmstrip",
        "idcin",
        "wc3movie",
        "cdxl",
        "anm",
        "dxa",
        "frm",
        "mtv",
        "bethsoftvid",
    ),
    *("png_pipe", "jpeg_pipe", "jpegls_pipe", "jpegxl_pipe", "j2k_pipe", "webp_pipe", "bmp_pipe"),
    *("tiff_pipe", "dpx_pipe", "exr_pipe", "hdr_pipe", "gif_pipe", "ppm_pipe", "pgm_pipe"),
    *("pam_pipe", "pfm_pipe", "qoi_pipe", "sgi_pipe", "sunrast_pipe", "psd_pipe", "pcx_pipe"),
    *("mp3", "aac", "wav", "flac", "aiff", "caf", "ac3", "eac3", "dts", "w64", "wv", "srt", "ass"),
)
"""FFmpeg's names of the formats that are read: containers, bare streams and single pictures, each
complete in itself; sound and subtitles, to say that they hold no picture. Left out is whatever
opens other files (hls, dash, concat, sdp, imf, image2, mlv, vobsub, avisynth), devices, and
formats that take any text for a picture."""


def opening_options() -> dict[str, str]:
    """FFmpeg's options under which a file is opened, and nothing it may refer to.

    The list of formats is looked at when a file's format is known, before its demuxer sees it.
    """
    return {
        "format_whitelist": ",".join(FORMATS),
        "protocol_whitelist": PROTOCOLS,
        "max_streams": str(MAX_STREAMS),
    }


RAW_FORMATS = ("rawvideo",)
"""Formats that any bytes are: read only where the user says so."""


def stream_options() -> dict[str, str]:
    """FFmpeg's options for every decoder, also those that only look at a stream's beginning."""
    return {"max_pixels": str(MAX_PIXELS)}


def check_size(path: Path | str, width: int, height: int) -> None:
    """Raises: InputError: frames are larger than any video's."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        most = f"up to {MAX_SIDE} a side and {MAX_PIXELS >> 20} million pixels"
        raise InputError(f"{path}: frames of {width}x{height} are too large ({most})")


def check_counts(
    path: Path | str, *, streams: Sized, chapters: Sized, attached: int, tags: int
) -> None:
    """Refuse what would fill the memory, and the result, with anything but video.

    Args:   attached: bytes of all attachments. tags: characters of all metadata.
    Raises: InputError: there is too much of one of them.
    """
    for name, count, most in (
        ("streams", len(streams), MAX_STREAMS),
        ("chapters", len(chapters), MAX_CHAPTERS),
        ("bytes of attachments", attached, MAX_ATTACHED),
        ("characters of metadata", tags, MAX_TAGS),
    ):
        if count > most:
            raise InputError(f"{path}: has too many {name} ({count}, but {most} at most)")


def threads_for(threads: int, width: int, height: int) -> int:
    """Of so many decoding threads, those whose pictures fit into `DECODING_BYTES`.

    A thread holds about two pictures, of four bytes a pixel at most but for the rarest formats.
    """
    return max(1, min(threads, DECODING_BYTES // max(8 * width * height, 1)))


def aspect(claimed: Fraction | None) -> Fraction:
    """Width of a pixel over its height, if it can be; else 1."""
    if claimed is None or not Fraction(1, MAX_ASPECT) <= claimed <= MAX_ASPECT:
        return Fraction(1)
    return claimed
