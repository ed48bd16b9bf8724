"""Thumbnails of frames, made one at a time, and cached up to a total number of bytes."""

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.studio.sources import thumbnail

_MAX_BYTES = 32 << 20

Key = tuple[Path, int, float, int]
"""Path, modification time of the file in nanoseconds, time of the frame in seconds, and width."""


class Thumbnails(Closing):
    """Makes thumbnails in a separate thread, and caches the most recently requested ones."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="studio-thumbnail")
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, path: Path, at: float, width: int) -> bytes:
        """Return a JPEG of the frame at a time in seconds, reduced to a width in pixels.

        Raises:
            InputError: The file cannot be read.
        """
        key = (path, path.stat().st_mtime_ns, round(at, 3), width)
        return self._executor.submit(self._get, key).result()

    def close(self) -> None:
        """Finish the thumbnail in progress, and cancel all others."""
        self._executor.shutdown(cancel_futures=True)

    def _get(self, key: Key) -> bytes:
        data = self._kept.pop(key, None)
        if data is None:
            data = thumbnail(key[0], key[2], key[3])
            self._bytes += len(data)
        self._kept[key] = data
        while self._bytes > _MAX_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data
