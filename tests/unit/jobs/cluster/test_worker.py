"""A machine that cannot do the work says so in one line, with its name; none of it needs Ray."""

import pickle
import platform
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from crsr_video.config import Config, OutputSettings
from crsr_video.errors import ClusterError
from crsr_video.jobs.cluster import connection
from crsr_video.jobs.cluster import worker as worker_module
from crsr_video.jobs.cluster.actor_pool import WorkerResources
from crsr_video.jobs.cluster.ray_isolation import DeferredSignals
from crsr_video.jobs.cluster.worker import (
    ClusterWorker,
    SegmentDone,
    WorkerFailure,
    WorkerReady,
    packed,
)
from crsr_video.jobs.segments import Plan, compatibility, join, plan
from crsr_video.track import face_models
from tests.support.video import make_video

CONFIG = Config.from_options(
    model="identity", device="cpu", precision="fp32", output=OutputSettings(codec="ffv1")
)
NODE = f"(machine {platform.node()})"


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    face_models.resolve_all()
    source = make_video(tmp_path / "in.mkv", frames=12)
    return plan(source, CONFIG, tmp_path / "out.mkv")


def test_a_segment_by_a_worker_is_as_good_as_any(planned: Plan, tmp_path: Path) -> None:
    worker = ClusterWorker(1)
    assert isinstance(worker.prepare(packed(CONFIG, planned.versions)), WorkerReady)
    (tmp_path / "parts").mkdir()
    done = [
        worker.enhance(packed(planned, segment, tmp_path / "parts")) for segment in planned.segments
    ]
    assert all(isinstance(answer, SegmentDone) for answer in done)
    join(planned, [answer.result for answer in done], tmp_path / "parts")  # type: ignore[union-attr]
    assert (tmp_path / "out.mkv").exists()


def test_storage_that_a_machine_does_not_share(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "VISIBILITY_SECONDS", 0.1)
    worker = ClusterWorker(1)
    segment = planned.segments[0]
    elsewhere = replace(planned, source=Path("/not/mounted/in.mkv"))
    answer = worker.enhance(packed(elsewhere, segment, tmp_path))
    assert isinstance(answer, WorkerFailure)
    assert answer.files_unseen
    assert answer.message.startswith("/not/mounted/in.mkv: does not exist")
    assert "all machines" in answer.message
    assert answer.message.endswith(NODE)
    answer = worker.enhance(packed(planned, segment, tmp_path / "none"))
    assert isinstance(answer, WorkerFailure)
    assert answer.files_unseen
    assert f"{tmp_path / 'none'}: does not exist" in answer.message


def test_a_folder_that_is_seen_a_little_later_is_no_trouble(planned: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "late"
    timer = threading.Timer(0.3, folder.mkdir)
    timer.start()
    try:
        load = packed(planned, planned.segments[0], folder)
        assert isinstance(ClusterWorker(1).enhance(load), SegmentDone)
    finally:
        timer.join()


def test_other_versions_and_no_weights(planned: Plan, tmp_path: Path) -> None:
    versions = {**planned.versions, "crsr-video": "0.0.1"}
    answer = ClusterWorker(1).prepare(packed(CONFIG, versions))
    assert isinstance(answer, WorkerFailure)
    assert "planned by a machine with crsr-video 0.0.1 (now " in answer.message
    assert answer.message.endswith(NODE)
    missing = CONFIG.with_options(model=str(tmp_path / "mine.safetensors"))
    answer = ClusterWorker(1).prepare(packed(missing, planned.versions))
    assert isinstance(answer, WorkerFailure)
    assert "mine.safetensors" in answer.message
    assert answer.kind == "WeightsError"
    assert "\n" not in answer.message


def test_what_only_another_version_understands() -> None:
    load = pickle.dumps((CONFIG,)).replace(b"crsr_video.config", b"crsr_video.confog")
    answer = ClusterWorker(1).enhance(load)
    assert isinstance(answer, WorkerFailure)
    assert "incompatible version" in answer.message


def test_facts_are_those_of_the_machine_that_plans(planned: Plan) -> None:
    assert planned.versions == compatibility.versions(CONFIG)


def test_places_follow_from_machines() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert WorkerResources(1.0).count_workers(nodes) == 11
    assert WorkerResources(2.0).count_workers(nodes) == 5
    assert WorkerResources(1.0, 0.25).count_workers(nodes) == 8
    assert WorkerResources(0.5, 1.0).count_workers(nodes) == 2
    assert WorkerResources(1.0, 0.5).count_workers(nodes[1:]) == 0


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with (
        pytest.raises(ClusterError, match=r"pip install 'crsr-video\[ray\]'"),
        connection.connected("local"),
    ):
        pass


@pytest.mark.parametrize("address", ["cluster", "ray://host:10001", "host:", ":80", "h:99999"])
def test_what_is_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    with pytest.raises(ClusterError, match="use HOST:PORT"), connection.connected(address):
        pass


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # Bound, but nobody listens.
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=f"no Ray cluster answers at {address} within"),
            connection.connected(address),
        ):
            pass


def test_something_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes connections and says nothing: Ray by itself would try for minutes."""
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(connection, "_PROBE", "import time; time.sleep(60)")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"within 0\.5 s$"), connection.connected(address):
            pass
        thread.join(5)


def test_a_cluster_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setattr(connection, "_PROBE", "import sys; sys.exit('Version mismatch: 2.9')")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=r": Version mismatch: 2\.9$"),
            connection.connected(address),
        ):
            pass


def test_the_deepest_cause_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray says that it failed to connect, and only behind it why: a token is missing, say."""
    (tmp_path / "ray.py").write_text(
        "def init(**_):\n"
        "    try:\n"
        "        raise RuntimeError('Traceback\\n  ray.exceptions.AuthenticationError: no token')\n"
        "    except RuntimeError as error:\n"
        "        raise ConnectionError('Failed to connect') from error\n"
    )
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=r": AuthenticationError: no token$"),
            connection.connected(address),
        ):
            pass


def test_signals_wait_until_they_are_asked_for() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with DeferredSignals() as signals:
            signal.raise_signal(signal.SIGTERM)
            signals.check()
            assert seen == [signal.SIGTERM]
            signals.check()
            signal.raise_signal(signal.SIGTERM)
            assert seen == [signal.SIGTERM]
        assert seen == [signal.SIGTERM] * 2
        signal.raise_signal(signal.SIGTERM)
        assert len(seen) == 3
    finally:
        signal.signal(signal.SIGTERM, before)
