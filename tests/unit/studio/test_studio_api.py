"""The studio's HTTP API, called without a browser."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from crsr_video.errors import OutputError
from crsr_video.studio.app import create_app
from crsr_video.studio.events import Events
from crsr_video.studio.jobs import JobQueue
from crsr_video.studio.workspace import Workspace
from tests.support.paths import CLIPS, PORTRAIT
from tests.support.studio import ADDRESS, HOST, TOKEN, file_id, parts_of
from tests.support.video import make_video, remux

IDENTITY = {"model": "identity"}
OURS = {"Host": HOST, "Cookie": f"crsr_studio={TOKEN}"}


def write_photo(path: Path) -> Path:
    with av.open(str(PORTRAIT)) as file:
        next(file.decode(video=0)).to_image().save(path)
    return path


def wait_for_job(client: TestClient, state: str) -> dict[str, Any]:
    for _ in range(600):
        (job,) = client.get("/api/jobs").json()["jobs"]
        if job["state"] == state:
            return dict(job)
        assert job["state"] in ("waiting", "running"), job
        time.sleep(0.1)
    raise AssertionError(f"the job never was {state}")


# Access ---------------------------------------------------------------------------------------


def test_nothing_is_served_without_the_token(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace((folder,), (), tmp_path / "other")
    app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
    stranger = TestClient(app, base_url=ADDRESS)
    for path in ("/", "/?token=wrong", "/api/files", "/static/studio.js", "/docs", "/openapi.json"):
        assert stranger.get(path).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_other_names_and_other_pages_are_refused(
    shared: TestClient, headers: dict[str, str]
) -> None:
    assert shared.get("/api/files", headers=headers).status_code == 403


def test_the_token_leaves_the_address_and_becomes_a_cookie(shared: TestClient) -> None:
    answer = shared.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]


# Files ----------------------------------------------------------------------------------------


def test_only_videos_and_images_of_the_folder_are_offered(shared: TestClient) -> None:
    assert [f["name"] for f in shared.get("/api/files").json()["files"]] == ["portrait.mp4"]


@pytest.mark.parametrize("name", ["0123", "..%2F..%2Fsecret.mp4", "portrait.mp4"])
def test_paths_are_no_ids(shared: TestClient, name: str) -> None:
    assert shared.get(f"/api/files/{name}").status_code == 404


def test_properties_of_a_file(shared: TestClient) -> None:
    facts = shared.get(f"/api/files/{file_id(shared)}").json()
    assert (facts["width"], facts["height"], facts["frames"]) == (640, 360, 75)
    assert (facts["fps"], facts["duration"], facts["kind"]) == (25.0, 3.0, "video")


def test_an_upload_is_stored_under_a_name_of_our_own(client: TestClient, tmp_path: Path) -> None:
    data = make_video(tmp_path / "up.mkv", frames=3).read_bytes()
    answer = client.post("/api/files", params={"name": "../../evil.mkv"}, content=data)
    assert answer.status_code == 201
    assert client.get(f"/api/files/{answer.json()['id']}").json()["frames"] == 3
    stored = list((tmp_path / "work").rglob("*.mkv"))
    assert [path.parent.name for path in stored] == ["uploads"]
    assert "evil" not in stored[0].name


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [("a.txt", b"x", "not a video"), ("a.mp4", b"", "is empty"), ("a", b"x", "not a video")],
)
def test_uploads_that_are_no_videos_are_refused(
    client: TestClient, tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    answer = client.post("/api/files", params={"name": name}, content=data)
    assert answer.status_code == 404
    assert message in answer.json()["detail"]
    assert list((tmp_path / "work" / "uploads").iterdir()) == []


def test_a_text_file_named_as_a_video_gives_a_clear_message(client: TestClient) -> None:
    made = client.post("/api/files", params={"name": "a.mp4"}, content=b"no video at all" * 100)
    answer = client.get(f"/api/files/{made.json()['id']}")
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_file_that_vanished_gives_a_clear_message(client: TestClient, folder: Path) -> None:
    vanishing = file_id(client)
    (folder / "portrait.mp4").unlink()
    answer = client.get(f"/api/files/{vanishing}")
    assert answer.json()["detail"] == "this file is not there any more"


# Preview --------------------------------------------------------------------------------------


def test_a_frame_before_and_after(shared: TestClient) -> None:
    answer = shared.post(f"/api/files/{file_id(shared)}/frame", json={"at": 1.0, "width": 640})
    header, before, after = parts_of(answer.content)
    assert header["at"] == pytest.approx(1.0, abs=0.021)
    assert before.shape == after.shape == (360, 640, 3)
    (face,) = header["faces"]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(face["box"], (640, 360) * 2, strict=True))
    difference = np.abs(before.astype(int) - after.astype(int))
    assert difference[y0:y1, x0:x1].mean() > 0.5
    assert difference[:, :64].max() == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_a_photo_is_shown_before_and_after(client: TestClient, folder: Path, suffix: str) -> None:
    photo = write_photo(folder / f"photo{suffix}")
    number = file_id(client, photo.name)
    header, before, after = parts_of(
        client.post(f"/api/files/{number}/frame", json={"at": 0.0, "width": 640}).content
    )
    assert len(header["faces"]) == 1
    assert before.shape == (360, 640, 3)
    assert np.abs(before.astype(int) - after.astype(int)).max() > 3
    thumbnail = client.get(f"/api/files/{number}/thumbnail", params={"at": 0, "width": 64})
    assert thumbnail.status_code == 200


def test_photos_of_every_format_are_offered(client: TestClient, folder: Path) -> None:
    for suffix in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"):
        photo = write_photo(folder / f"photo{suffix}")
        facts = client.get(f"/api/files/{file_id(client, photo.name)}").json()
        assert (facts["kind"], facts["width"], facts["height"]) == ("image", 640, 360)


@pytest.mark.processes
def test_a_photo_is_exported_in_its_own_format(client: TestClient, folder: Path) -> None:
    photo = write_photo(folder / "photo.jpg")
    export = {"file": file_id(client, photo.name), "settings": IDENTITY}
    assert client.post("/api/jobs", json=export).status_code == 201
    job = wait_for_job(client, "done")
    assert Path(job["output"]) == folder / "photo.enhanced.jpg"
    assert client.get(f"/api/files/{job['result_file']}").json()["width"] == 640


def test_the_nearest_frame_is_shown(shared: TestClient) -> None:
    frame = f"/api/files/{file_id(shared)}/frame"
    for at, index in ((0.0, 0), (0.04, 1), (0.03, 1), (0.41, 10), (2.96, 74)):
        body = {"at": at, "width": 64, "settings": IDENTITY}
        header, *_ = parts_of(shared.post(frame, json=body).content)
        assert header["at"] == pytest.approx(index / 25, abs=0.001)


def test_a_frame_behind_the_end_gives_a_clear_message(shared: TestClient) -> None:
    answer = shared.post(f"/api/files/{file_id(shared)}/frame", json={"at": 60.0})
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "settings", [{"strength": 2}, {"scale": 3}, {"people": {"1": {"strength": -1}}}]
)
def test_settings_out_of_range_are_refused(shared: TestClient, settings: dict[str, Any]) -> None:
    body = {"at": 0.0, "settings": settings}
    answer = shared.post(f"/api/files/{file_id(shared)}/frame", json=body)
    assert answer.status_code == 422


def test_a_thumbnail_has_the_requested_width(shared: TestClient) -> None:
    data = shared.get(f"/api/files/{file_id(shared)}/thumbnail?at=1&width=80").content
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (45, 80, 3)


def test_playing_sends_frames_in_order_until_the_end(shared: TestClient) -> None:
    times = []
    with shared.websocket_connect(f"/api/files/{file_id(shared)}/play", headers=OURS) as socket:
        socket.send_json({"command": "play", "at": 2.5, "width": 160, "settings": IDENTITY})
        while True:
            message = socket.receive()
            if message.get("text") is not None:
                assert json.loads(message["text"]) == {"ended": True}
                break
            header, *_ = parts_of(message["bytes"])
            times.append(header["at"])
            socket.send_json({"command": "shown", "number": header["number"]})
    assert times
    assert times == sorted(times)
    assert times[0] >= 2.48


def test_a_socket_of_another_page_is_refused(shared: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        shared.websocket_connect("/api/camera", headers={**OURS, "Origin": "http://evil"}),
    ):
        pass
    assert refused.value.code == 4403


# Exports --------------------------------------------------------------------------------------


def test_the_command_line_of_an_export(client: TestClient, folder: Path) -> None:
    export = {
        "file": file_id(client),
        "settings": {"strength": 0.5, "scale": 2, "background": "restore"},
        "format": "share",
        "start": 1.0,
        "end": 2.0,
    }
    answer = client.post("/api/command", json=export).json()
    assert answer["command"] == (
        f"cd {folder} && crsr-video enhance portrait.mp4 -o portrait.enhanced.mp4 "
        "--strength 0.5 --scale 2 --background restore --start 1.000 --duration 1.000 --for share"
    )


def test_the_command_of_an_upload_names_the_users_own_copy(client: TestClient) -> None:
    content = PORTRAIT.read_bytes()
    number = client.post("/api/files", params={"name": "my clip.mp4"}, content=content).json()["id"]
    answer = client.post("/api/command", json={"file": number}).json()
    assert answer["command"] == "crsr-video enhance 'my clip.mp4' -o 'my clip.enhanced.mp4'"
    assert client.get(f"/api/files/{number}/tracks").status_code == 404
    assert client.post(f"/api/files/{number}/tracks").status_code == 404


def test_an_export_runs_and_its_result_can_be_opened(client: TestClient, folder: Path) -> None:
    export = {"file": file_id(client), "settings": IDENTITY, "format": "archive"}
    export |= {"start": 1.0, "end": 1.4}
    assert client.post("/api/jobs", json=export).status_code == 201
    command = client.post("/api/command", json=export).json()
    assert Path(command["output"]) == folder / "portrait.enhanced-2.mkv"
    job = wait_for_job(client, "done")
    assert Path(job["output"]) == folder / "portrait.enhanced.mkv"
    assert client.get(f"/api/files/{job['result_file']}").json()["frames"] == 10
    body = {"at": 1.2, "width": 640, "job": job["id"]}
    compared = client.post(f"/api/files/{job['source_file']}/frame", json=body).content
    header, before, after = parts_of(compared)
    assert header["at"] == pytest.approx(1.2, abs=0.001)
    assert header["area"] == [0, 0, 640, 360]
    assert np.abs(before.astype(int) - after).mean() < 0.5
    assert "<html" in client.get(f"/api/jobs/{job['id']}/report").text
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert client.get("/api/jobs").json()["jobs"] == []
    assert (folder / "portrait.enhanced.mkv").exists()


def test_a_queue_that_cannot_be_stored_is_reported_and_goes_on(tmp_path: Path) -> None:
    problems: list[str] = []
    queue = JobQueue(
        tmp_path / "none" / "jobs.json",
        on_change=lambda _: None,
        on_done=str,
        on_problem=problems.append,
    )
    queue.close()  # Nothing is started any more.
    source, output = tmp_path / "a.mp4", tmp_path / "b.mp4"
    queue.add(source, "a.mp4", "id", output, [], resumable=True, reports=tmp_path)
    assert "cannot be stored" in problems[0]
    assert queue.writes(output)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("/outside.mp4", "results go into the folder of the source"),
        ("{folder}/portrait.mp4", "exists already"),
        ("{folder}/none/a.mp4", "there is no such folder"),
    ],
)
def test_results_go_only_where_they_may(
    client: TestClient, folder: Path, output: str, message: str
) -> None:
    export = {"file": file_id(client), "output": output.format(folder=folder)}
    answer = client.post("/api/jobs", json=export)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


def test_unknown_formats_and_jobs_are_refused(shared: TestClient) -> None:
    export = {"file": file_id(shared), "format": "betamax"}
    assert "betamax" in shared.post("/api/command", json=export).json()["detail"]
    assert shared.post("/api/jobs/none/cancel").status_code == 422
    assert shared.get("/api/jobs/none/report").status_code == 422


@pytest.mark.processes
def test_the_queue_goes_on_after_a_restart(folder: Path, tmp_path: Path) -> None:
    export = {"settings": IDENTITY, "format": "same", "end": 0.4}
    for number in range(2):
        workspace = Workspace((folder,), (), tmp_path / "work")
        app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
        with TestClient(app, base_url=ADDRESS) as client:
            client.get(f"/?token={TOKEN}")
            if number == 0:
                client.post("/api/jobs", json={**export, "file": file_id(client)})
            else:
                wait_for_job(client, "done")
    assert (folder / "portrait.enhanced.mp4").exists()


# People ---------------------------------------------------------------------------------------


def test_people_are_found_switched_off_split_and_merged(folder: Path, tmp_path: Path) -> None:
    remux(CLIPS / "two_faces_cut.mp4", folder / "two_faces_cut.mp4", "mp4", 2.6)
    workspace = Workspace((folder,), (), tmp_path / "work")
    app = create_app(workspace, token=TOKEN, hosts=frozenset({HOST}))
    with TestClient(app, base_url=ADDRESS) as client:
        client.get(f"/?token={TOKEN}")
        two_faces = file_id(client, "two_faces_cut.mp4")
        assert client.post(f"/api/files/{two_faces}/people").status_code == 202
        for _ in range(600):
            found = client.get(f"/api/files/{two_faces}/people").json()
            if found["state"] == "done":
                break
            time.sleep(0.1)
        people = [person["id"] for person in found["people"]]
        assert [person["tracks"] for person in found["people"]] == [[1, 2], [3]]
        assert all(p["thumbnail"].startswith("data:image/jpeg") for p in found["people"])

        off = {"people": {str(people[0]): {"enabled": False}}}
        body = {"at": 1.0, "width": 640, "settings": off}
        answer = client.post(f"/api/files/{two_faces}/frame", json=body)
        header, before, after = parts_of(answer.content)
        assert [face["person"] for face in header["faces"]] == [people[0]]
        assert np.array_equal(before, after)

        split = {"action": "split", "people": [people[0]]}
        assert len(client.put(f"/api/files/{two_faces}/people", json=split).json()["people"]) == 3
        merge = {"action": "merge", "people": [1, 2]}
        merged = client.put(f"/api/files/{two_faces}/people", json=merge).json()["people"]
        assert [person["tracks"] for person in merged] == [[1, 2], [3]]
        command = client.post("/api/command", json={"file": two_faces, "settings": off}).json()
        assert "--tracks two_faces_cut.tracks.json --face 1=off" in command["command"]
        assert (command["tracks"], command["tracks_are_saved"]) == (
            "two_faces_cut.tracks.json",
            False,
        )
        saved = client.post(f"/api/files/{two_faces}/tracks").json()["path"]
        assert Path(saved) == folder / "two_faces_cut.tracks.json"
        assert client.get(f"/api/files/{two_faces}/tracks").content == Path(saved).read_bytes()
        again = client.post("/api/command", json={"file": two_faces, "settings": off}).json()
        assert again["tracks_are_saved"]
        client.put(f"/api/files/{two_faces}/people", json=split)
        other = client.post("/api/command", json={"file": two_faces, "settings": off}).json()
        assert other["tracks"] == "two_faces_cut.tracks-2.json"
        unknown = {"action": "merge", "people": [99]}
        assert client.put(f"/api/files/{two_faces}/people", json=unknown).status_code == 422


def test_the_streams_of_events_end_when_the_studio_stops() -> None:
    async def follow() -> list[str]:
        events = Events()
        stream = events.stream([("jobs", [])])
        found = [await anext(stream)]
        events.publish("files", {})
        found.append(await anext(stream))
        events.close()
        return found + [message async for message in stream]

    assert asyncio.run(follow()) == [
        "event: jobs\ndata: []\n\n",
        "event: files\ndata: {}\n\n",
    ]


def test_a_browsers_camera_comes_back_enhanced(shared: TestClient) -> None:
    answer = shared.post(f"/api/files/{file_id(shared)}/frame", json={"at": 1.0, "width": 640})
    _, before, _ = parts_of(answer.content)
    picture = cv2.imencode(".jpg", before)[1].tobytes()
    with shared.websocket_connect("/api/camera", headers=OURS) as socket:
        socket.send_json({"command": "open", "source": "browser", "strength": 1.0})
        for _ in range(3):
            socket.send_bytes(picture)
            while (message := socket.receive()).get("bytes") is None:
                assert "error" not in json.loads(message["text"])
            header, _, made = parts_of(message["bytes"])
            assert made.shape == before.shape
            socket.send_json({"command": "shown", "number": header["number"]})
        socket.send_bytes(b"not a picture")
        while "error" not in (message := socket.receive()).get("text", ""):
            pass
        assert "must be a JPEG" in json.loads(message["text"])["error"]


def test_a_work_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """The list of exports in it holds commands that are run."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o777)
    with pytest.raises(OutputError, match="other users can write to it"):
        Workspace((), (), tmp_path / "work")
