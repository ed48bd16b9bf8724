"""How each muxer is set for live streams."""

from fractions import Fraction
from pathlib import Path

from crsr_video.io.containers import MOV

_ONE_TICK = {"max_interleave_delta": "1"}
"""Video waits for sound that is late no longer than until the next frame."""
_SOON = {"max_interleave_delta": "500000"}
"""In a file it may wait for half a second, but not for sound that does not come any more."""
_SHIFTED = {"avoid_negative_ts": "make_zero"}
"""Times count from the first packet on."""
_KEPT = {"avoid_negative_ts": "make_non_negative"}
"""Times stay as they are, unless the first frame comes before zero."""

_LIVE: dict[str, dict[str, str]] = {
    "nut": {"write_index": "0", **_KEPT, **_ONE_TICK},
    "mpegts": {"mpegts_copyts": "1", "pes_payload_size": "0", **_KEPT, **_ONE_TICK},
    "matroska": {"cluster_time_limit": "0", "live": "1", **_KEPT, **_ONE_TICK},
    "flv": {"flvflags": "no_duration_filesize", **_SHIFTED, **_ONE_TICK},
}
"""Of muxers whose bytes leave at once: no index, which would grow, and nothing held back."""
_FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof", **_SHIFTED}
"""MP4 whose index does not grow with the run, and of which a crash leaves all but the end."""
_FILE: dict[str, dict[str, str]] = {
    **dict.fromkeys(MOV, _FRAGMENTS),
    "matroska": _SHIFTED,
    "hls": {
        "hls_time": "1",
        "hls_list_size": "6",
        "hls_flags": "delete_segments+independent_segments+temp_file",
    },
}


def live_options(container: str) -> dict[str, str]:
    """Options under which every packet leaves at once."""
    return {"flush_packets": "1", **_LIVE[container]}


def file_options(container: str, path: Path, tick: Fraction) -> dict[str, str]:
    """Options for a file or a folder.

    Args: tick: seconds in which frames' times are counted.
    """
    options = _SOON | _FILE.get(container, {})
    if container == "hls":
        stem = str(path.with_suffix("")).replace("%", "%%")
        options["hls_segment_filename"] = f"{stem}.%06d.ts"
    if container in MOV:
        options["video_track_timescale"] = str(min(tick.denominator, 10**6))
    return options


def keeps_times(options: dict[str, str]) -> bool:
    """Whether times come out as they went in."""
    return options.items() >= _KEPT.items()
