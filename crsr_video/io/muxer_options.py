"""Options of FFmpeg's muxers: exact times for recorded results, low latency for live ones."""

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from crsr_video.io.containers import MOV
from crsr_video.io.source import RecordedSource
from crsr_video.io.tags import unusual_tags

# Recorded results -------------------------------------------------------------------------------


def recorded_options(source: RecordedSource, container: str, tick: Fraction) -> dict[str, str]:
    """Return the options that keep presentation times unchanged.

    Args:
        source: The source.
        container: FFmpeg's name of the muxer.
        tick: Unit of the timestamps of the video, in seconds.
    """
    if container in MOV:
        options = {"video_track_timescale": str(tick.denominator)}
        options["movie_timescale"] = str(_movie_timescale(source, tick.denominator))
        # The muxer writes either the table of these tags or a cover, not both.
        if unusual_tags(source) and not (container == "mp4" and source.covers):
            options["movflags"] = "+use_metadata_tags"
        return options
    if container == "mpegts":
        return {"mpegts_copyts": "1", "avoid_negative_ts": "disabled"}
    if container == "nut":  # NUT cannot store times below zero.
        early = source.earliest < 0
        return {"avoid_negative_ts": "make_non_negative" if early else "disabled"}
    if container in ("mpeg", "vob"):
        return {"preload": "0", "avoid_negative_ts": "disabled"}
    return {}


def recorded_pipe_options(encoder: str) -> dict[str, str]:
    """Return further options for standard output, so that every packet leaves at once."""
    options = {"flush_packets": "1"}
    if encoder == "rawvideo":
        # Microseconds to wait for other streams. Packets come in order, and raw pictures are large.
        options["max_interleave_delta"] = "200000"
    return options


def _movie_timescale(source: RecordedSource, video: int) -> int:
    """Return the timescale of the edit lists, which hold the start of every track.

    It is exact for all tracks if it does not become too large: chapters use it too, and their
    lengths must fit into 32 bits.
    """
    chapters = source.container.chapters()
    lengths = [(c["end"] - c["start"]) * (c["time_base"] or 0) for c in chapters]
    longest = max(lengths, default=0)
    limit = min(100_000_000, int(2**31 / max(longest, 1)))
    bases = [s.time_base for s in source.container.streams if s.type == "audio" and s.time_base]
    common = math.lcm(video, *(base.denominator for base in bases))
    return common if common <= limit else min(video, limit)


# Live results -----------------------------------------------------------------------------------

_ONE_TICK = {"max_interleave_delta": "1"}
"""Video waits for late audio only until the next frame."""
_SOON = {"max_interleave_delta": "500000"}
"""In a file, video waits half a second for late audio, but not for audio that has ended."""
_SHIFTED = {"avoid_negative_ts": "make_zero"}
"""Times count from the first packet."""
_KEPT = {"avoid_negative_ts": "make_non_negative"}
"""Times stay as they are, unless the first frame comes before zero."""
_STREAMED: dict[str, dict[str, str]] = {
    "nut": {"write_index": "0", **_KEPT, **_ONE_TICK},
    "mpegts": {"mpegts_copyts": "1", "pes_payload_size": "0", **_KEPT, **_ONE_TICK},
    "matroska": {"cluster_time_limit": "0", "live": "1", **_KEPT, **_ONE_TICK},
    "flv": {"flvflags": "no_duration_filesize", **_SHIFTED, **_ONE_TICK},
}
"""Options of the muxers that send bytes at once, without a buffer and without a growing index."""
_FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof", **_SHIFTED}
"""Fragmented MP4. Its index does not grow with the run, and a crash loses only the end."""
_FILES: dict[str, dict[str, str]] = {
    **dict.fromkeys(MOV, _FRAGMENTS),
    "matroska": _SHIFTED,
    "hls": {
        "hls_time": "1",
        "hls_list_size": "6",
        "hls_flags": "delete_segments+independent_segments+temp_file",
    },
}


def streaming_options(container: str) -> dict[str, str]:
    """Return the options that make every packet leave at once."""
    return {"flush_packets": "1", **_STREAMED.get(container, {})}


def live_file_options(container: str, path: Path, tick: Fraction) -> dict[str, str]:
    """Return the options for a file or an HLS folder.

    Args:
        container: FFmpeg's name of the muxer.
        path: The file or the playlist.
        tick: Unit of the timestamps of the video, in seconds.
    """
    options = _SOON | _FILES.get(container, {})
    if container == "hls":
        stem = str(path.with_suffix("")).replace("%", "%%")
        options["hls_segment_filename"] = f"{stem}.%06d.ts"
    if container in MOV:
        options["video_track_timescale"] = str(min(tick.denominator, 10**6))
    return options


def keeps_times(options: Mapping[str, str]) -> bool:
    """Return whether these options keep the times of a live result unchanged."""
    return options.items() >= _KEPT.items()
