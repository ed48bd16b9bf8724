"""Clients can use any number of models in turn, and never wait forever."""

import gc
import os
import shutil
import subprocess
import sys
import threading
from functools import partial

import pytest

from crsr_video import weights
from crsr_video.runtime import loading
from crsr_video.server import Client, EffectSettings, service, shared_models
from crsr_video.server.protocol import MessageKind, Refusal, RefusalCode, TextAnswer
from crsr_video.server.shared_models import WorkerThread
from tests.support.paths import ROOT
from tests.support.server import Raw, portrait, serving
from tests.support.waiting import wait_until


@pytest.fixture
def without_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collection")
def test_six_models_can_be_used_in_one_session(folder):
    source = weights.path_of("fast")
    models = [folder / f"model{number}.safetensors" for number in range(6)]
    for model in models:
        shutil.copy(source, model)
    with serving(folder / "s") as server, Client(path=server.path, command=()) as client:
        for model in (*models, "fast"):
            client.change(EffectSettings(model=str(model)))
            assert client.process(portrait()).enhanced == 1


@pytest.mark.usefixtures("without_collection")
def test_a_client_that_leaves_releases_its_model(folder, monkeypatch):
    monkeypatch.setattr(shared_models, "MAX_MODELS", 1)
    model = folder / "model.safetensors"
    shutil.copy(weights.path_of("fast"), model)
    with serving(folder / "s") as server:
        for name in ("fast", str(model), "fast"):
            with Raw(server.path) as raw:
                ask = partial(raw.ask, EffectSettings(model=name))
                wait_until(lambda ask=ask: ask().kind == MessageKind.OK)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
@pytest.mark.parametrize("kind", ["model", "ranges", "tracks"])
def test_a_pipe_in_place_of_a_file_is_refused_and_others_go_on(kind, folder):
    path = folder / "model.safetensors"
    if kind == "ranges":
        shutil.copy(weights.path_of("fast"), path)
        os.mkfifo(weights.ranges_file(path))
    else:
        os.mkfifo(path)
    option = "tracks" if kind == "tracks" else "model"
    with serving(folder / "s") as server, Raw(server.path) as raw:
        answer = raw.ask(EffectSettings(**{option: str(path)}))
        assert isinstance(answer, Refusal)
        assert answer.code == RefusalCode.SETTINGS
        with Raw(server.path) as other:
            assert isinstance(other.ask(EffectSettings(model="identity")), TextAnswer)


def test_the_server_ends_although_a_model_never_loads(folder, monkeypatch):
    go_on, begun = threading.Event(), threading.Event()
    original = loading.load_networks

    def load(config):
        begun.set()
        go_on.wait(60)
        return original(config)

    monkeypatch.setattr(loading, "load_networks", load)
    monkeypatch.setattr(service, "CLOSING_SECONDS", 0.3)
    with serving(folder / "s") as server:
        raw = Raw(server.path)
        raw.send(EffectSettings(model="identity"))
        assert begun.wait(30)
    assert not go_on.is_set()
    go_on.set()
    raw.link.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_a_task_that_never_ends_does_not_keep_the_process(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    program = (
        "import sys, threading\n"
        "from crsr_video.server.shared_models import WorkerThread\n"
        "worker = WorkerThread()\n"
        "task = lambda: open(sys.argv[1])\n"
        "threading.Thread(target=worker.run, args=(task,), daemon=True).start()\n"
        "print(worker.close_within(0.1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "pipe"],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == b"False\n"


def test_a_worker_returns_results_and_raises_errors_in_order():
    with WorkerThread() as worker:
        assert worker.run(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            worker.run(lambda: 1 // 0)
        assert worker.run(threading.current_thread) is not threading.current_thread()
    with pytest.raises(shared_models.ServerError, match="is ending"):
        worker.run(lambda: 7)
