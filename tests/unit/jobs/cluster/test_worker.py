"""A worker that cannot do the work says why in one line, with its machine. No test needs Ray."""

import pickle
import platform
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from crsr_video.config import Config, OutputSettings
from crsr_video.jobs.cluster import worker as worker_module
from crsr_video.jobs.cluster.actor_pool import WorkerResources
from crsr_video.jobs.cluster.worker import (
    ClusterWorker,
    SegmentDone,
    WorkerFailure,
    WorkerReady,
    packed,
)
from crsr_video.jobs.segments import Plan, compatibility, join, plan
from tests.support.face_models import require_face_models
from tests.support.video import make_video

CONFIG = Config.from_options(
    model="identity", device="cpu", precision="fp32", output=OutputSettings(codec="ffv1")
)
NODE = f"(machine {platform.node()})"


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    require_face_models()
    source = make_video(tmp_path / "in.mkv", frames=12)
    return plan(source, CONFIG, tmp_path / "out.mkv")


def test_a_cluster_worker_enhances_segments(planned: Plan, tmp_path: Path) -> None:
    worker = ClusterWorker(1)
    assert isinstance(worker.prepare(packed(CONFIG, planned.versions)), WorkerReady)
    (tmp_path / "parts").mkdir()
    done = [
        worker.enhance(packed(planned, segment, tmp_path / "parts")) for segment in planned.segments
    ]
    assert all(isinstance(answer, SegmentDone) for answer in done)
    join(planned, [answer.result for answer in done], tmp_path / "parts")
    assert (tmp_path / "out.mkv").exists()


def test_files_that_a_machine_does_not_see_are_named(
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


def test_a_folder_may_become_visible_late(planned: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "late"
    timer = threading.Timer(0.3, folder.mkdir)
    timer.start()
    try:
        load = packed(planned, planned.segments[0], folder)
        assert isinstance(ClusterWorker(1).enhance(load), SegmentDone)
    finally:
        timer.join()


def test_other_versions_and_missing_weights_are_named(planned: Plan, tmp_path: Path) -> None:
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


def test_work_of_an_incompatible_version_is_refused() -> None:
    load = pickle.dumps((CONFIG,)).replace(b"crsr_video.config", b"crsr_video.confog")
    answer = ClusterWorker(1).enhance(load)
    assert isinstance(answer, WorkerFailure)
    assert "incompatible version" in answer.message


def test_a_plan_contains_the_versions_of_its_machine(planned: Plan) -> None:
    assert planned.versions == compatibility.versions(CONFIG)


def test_the_number_of_workers_depends_on_the_machines() -> None:
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
