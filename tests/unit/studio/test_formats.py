"""The studio's output formats, encoded by the real command."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.io.reader import Reader
from crsr_video.studio.settings import (
    FORMATS,
    Export,
    StudioSettings,
    enhance_options,
    format_named,
)
from tests.support.paths import PORTRAIT

EXPECTED = {
    "same": ("h264", "yuv420p"),
    "share": ("h264", "yuv420p"),
    "hevc": ("hevc", "yuv420p10le"),
    "edit": ("prores", "yuv422p10le"),
    "archive": ("ffv1", "yuv420p"),
}


@pytest.mark.parametrize("name", [preset.name for preset in FORMATS])
@pytest.mark.parametrize("quality", ["normal", "smaller"])
def test_every_format_can_be_encoded(name: str, quality: Any, tmp_path: Path) -> None:
    settings = StudioSettings(model="identity")
    export = Export(file="", settings=settings, format=name, quality=quality, end=0.2)
    output = tmp_path / f"out{format_named(name).suffix or '.mp4'}"
    words = ["enhance", str(PORTRAIT), "-o", str(output), *enhance_options(export, (), None, 3.0)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    with Reader(output) as reader:
        assert (reader.info.codec, reader.info.pixel_format) == EXPECTED[name]
