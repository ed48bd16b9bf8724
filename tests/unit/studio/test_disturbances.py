"""Damaged files, full disks and lost files in the studio, without a browser."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from crsr_video.studio.app import create_app
from crsr_video.studio.workspace import Workspace
from tests.support.disks import enlarge, small_disk
from tests.support.paths import PORTRAIT
from tests.support.studio import ADDRESS, HOST, TOKEN, file_id
from tests.support.video import make_video, repeat_video
from tests.support.waiting import wait_until


def test_a_full_disk_refuses_an_upload_and_keeps_nothing_of_it(
    folder: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 200_000) as disk:
        workspace = Workspace((folder,), (), disk / "work")
        app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
        with TestClient(app, base_url=ADDRESS) as client:
            client.get(f"/?token={TOKEN}")
            large = client.post("/api/files", params={"name": "a.mp4"}, content=bytes(400_000))
            assert large.json()["detail"] == "a.mp4 cannot be stored: No space left on device"
            assert list((disk / "work" / "uploads").iterdir()) == []
            small = make_video(tmp_path / "small.mkv", frames=3).read_bytes()
            answer = client.post("/api/files", params={"name": "b.mkv"}, content=small)
            assert answer.status_code == 201


@pytest.mark.processes
def test_a_full_disk_fails_an_export_which_can_be_retried(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace((folder,), (), tmp_path / "work")
    app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
    with (
        small_disk(folder / "disk", 300_000) as disk,
        TestClient(app, base_url=ADDRESS) as client,
    ):
        client.get(f"/?token={TOKEN}")
        export = {
            "file": file_id(client),
            "settings": {"model": "identity"},
            "format": "archive",
            "end": 0.4,
            "output": str(disk / "large.mkv"),
        }
        assert client.post("/api/jobs", json=export).status_code == 201
        wait_until(lambda: client.get("/api/jobs").json()["jobs"][0]["state"] == "failed")
        (job,) = client.get("/api/jobs").json()["jobs"]
        assert "No space left on device" in job["error"]
        assert not (disk / "large.mkv").exists()
        enlarge(disk, 100_000_000)
        assert client.post(f"/api/jobs/{job['id']}/retry").status_code == 200
        wait_until(lambda: client.get("/api/jobs").json()["jobs"][0]["state"] == "done")


def test_a_codec_that_cannot_be_decoded_gives_a_clear_message(
    client: TestClient, folder: Path
) -> None:
    data = (PORTRAIT).read_bytes()
    (folder / "unknown.mp4").write_bytes(data.replace(b"avc1", b"zzz9"))
    answer = client.get(f"/api/files/{file_id(client, 'unknown.mp4')}")
    assert answer.status_code == 422
    assert "unknown.mp4" in answer.json()["detail"]
    assert len(answer.json()["detail"].splitlines()) == 1
    assert client.get(f"/api/files/{file_id(client)}").status_code == 200


def test_a_clip_without_faces_has_no_people(client: TestClient, folder: Path) -> None:
    make_video(folder / "empty.mkv", frames=5)
    empty = file_id(client, "empty.mkv")
    assert client.post(f"/api/files/{empty}/people").status_code == 202
    wait_until(lambda: client.get(f"/api/files/{empty}/people").json()["state"] == "done")
    assert client.get(f"/api/files/{empty}/people").json()["people"] == []


@pytest.mark.processes
def test_a_search_for_people_can_be_stopped_and_begun_again(
    client: TestClient, folder: Path
) -> None:
    repeat_video(folder / "portrait.mp4", 20).rename(folder / "long.mp4")
    people = f"/api/files/{file_id(client, 'long.mp4')}/people"
    assert client.post(people).status_code == 202
    assert client.delete(people).status_code == 204
    wait_until(lambda: client.get(people).json()["state"] == "unknown")
    assert client.post(people).status_code == 202
    assert client.get(people).json()["state"] == "running"


def test_a_file_that_vanishes_between_two_frames_gives_a_clear_message(
    client: TestClient, folder: Path
) -> None:
    number = file_id(client)
    assert client.post(f"/api/files/{number}/frame", json={"at": 1.0}).status_code == 200
    (folder / "portrait.mp4").unlink()
    answer = client.post(f"/api/files/{number}/frame", json={"at": 1.04})
    assert answer.json()["detail"] == "this file is not there any more"


def test_a_file_that_was_replaced_is_shown_anew(client: TestClient, folder: Path) -> None:
    number = file_id(client)
    first = client.post(f"/api/files/{number}/frame", json={"at": 1.0}).content
    (folder / "portrait.mp4").unlink()
    make_video(folder / "other.mkv", frames=30).rename(folder / "portrait.mp4")
    second = client.post(f"/api/files/{number}/frame", json={"at": 1.0}).content
    assert first != second


def test_steps_and_settings_give_the_frame_that_a_new_visit_gives(client: TestClient) -> None:
    number = file_id(client)

    def frame(at: float, strength: float = 1.0) -> bytes:
        body = {"at": at, "width": 640, "settings": {"strength": strength}}
        return client.post(f"/api/files/{number}/frame", json=body).content

    frame(2.5)
    wanted = frame(1.0, 0.5)
    frame(1.0, 1.0)
    assert frame(1.0, 0.5) == wanted
