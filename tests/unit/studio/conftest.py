"""A folder with a video of a face, and a studio without a browser that offers it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from crsr_video.studio.app import create_app
from crsr_video.studio.workspace import Workspace
from tests.support.paths import PORTRAIT
from tests.support.studio import ADDRESS, HOST, TOKEN


def make_folder(parent: Path) -> Path:
    """Make a folder with a video of a face, and with files that must never be offered."""
    folder = parent / "videos"
    folder.mkdir()
    shutil.copy(PORTRAIT, folder)
    (folder / ".hidden.mp4").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("private")
    (parent / "secret.mp4").write_bytes(b"secret")
    (folder / "link.mp4").symlink_to(parent / "secret.mp4")
    return folder


@contextmanager
def open_client(folder: Path, work_folder: Path) -> Iterator[TestClient]:
    """Yield a client of a new studio, which has the token."""
    workspace = Workspace((folder,), (), work_folder)
    app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
    with TestClient(app, base_url=ADDRESS) as client:
        assert client.get(f"/?token={TOKEN}").status_code == 200
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    with open_client(folder, tmp_path / "work") as client:
        yield client


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client for tests that change no file, no setting and no queue of the studio."""
    parent = tmp_path_factory.mktemp("studio")
    with open_client(make_folder(parent), parent / "work") as client:
        yield client
