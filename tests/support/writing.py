"""Live writers for tests."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from crsr_video.config import OutputSettings
from crsr_video.io.live_writer import LiveWriter
from crsr_video.io.source import Source


def open_writer(
    address: str | Path,
    source: Source,
    *,
    overwrite: bool = False,
    rate: Fraction | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> LiveWriter:
    """Open a live writer; further keywords are fields of `OutputSettings`."""
    chosen = OutputSettings(**settings)
    return LiveWriter(
        str(address), source, chosen, overwrite=overwrite, rate=rate, on_event=on_event
    )
