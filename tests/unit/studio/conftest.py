"""A folder with a video of a face, and a studio without a browser that offers it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from crsr_video.studio.app import create_app
from crsr_video.studio.workspace import Workspace
from tests.support.paths import PORTRAIT
from tests.support.studio import ADDRESS, HOST, TOKEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a video of a face, and what must never be offered."""
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(PORTRAIT, folder)
    (folder / ".hidden.mp4").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("private")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    return folder


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    workspace = Workspace((folder,), (), tmp_path / "work")
    app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
    with TestClient(app, base_url=ADDRESS) as client:
        assert client.get(f"/?token={TOKEN}").status_code == 200
        yield client
