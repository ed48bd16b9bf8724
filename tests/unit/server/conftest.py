from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.support.server as server_helpers
from crsr_video.server.service import Server


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_helpers.folder() as path:
        yield path


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    """A server for all tests that do not harm it. Its socket is `shared.path`."""
    with (
        server_helpers.folder() as path,
        server_helpers.serving(path / "s", threads=2, idle=0) as server,
    ):
        yield server
