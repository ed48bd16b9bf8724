"""The effect in a small host program, both compiled with sanitizers."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import tests.support.server as server_helpers
from crsr_video.server import Client, EffectFlag, EffectSettings
from tests.integration.plugins.sanitized import SECONDS, Run, fake, inverted, noise, pids, run, same
from tests.support.server import face_area, portrait


@pytest.fixture(scope="module")
def server():
    """A real server in a thread of this process."""
    with (
        server_helpers.folder() as folder,
        server_helpers.serving(folder / "s", threads=2) as server,
    ):
        yield server


def test_reading_the_parameters_starts_nothing(bench, place):
    environment = {"CRSR_SOCKET": str(place), "PATH": os.environ["PATH"]} | fake()
    done = subprocess.run(
        [str(bench / "host"), str(bench / "crsr.so"), "1", "1", "x", "x", "-metadata=1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "crsr 1",
        "strength 1",
        "min_face 0.0625",
        'model "fast"',
        "compare 0",
        "debug 0",
        'tracks ""',
        'persons ""',
        "head 0",
    ]
    assert done.stderr == ""
    assert list(place.parent.iterdir()) == []


def test_frames_are_what_the_server_makes_of_them(bench, server):
    pictures = [portrait(), portrait(4), portrait(), portrait(8)]
    with Client(EffectSettings(), path=server.path, command=()) as client:
        wanted = [client.enhance(picture) for picture in pictures]
    found, told = run(bench, server.path, pictures)
    assert same(found, wanted)
    assert told == []
    assert (found[0] != pictures[0])[face_area(pictures[0])].any()
    # Four instances that take turns, as MLT has them with real_time=-4.
    assert same(run(bench, server.path, pictures, ["-threads=4"])[0], wanted)


def test_frames_travel_in_posix_shared_memory_where_none_can_be_sealed(
    bench_with_posix_memory, place, monkeypatch
):
    pictures = noise()
    found, told = run(bench_with_posix_memory, place, pictures, **fake("posix"))
    assert same(found, inverted(pictures))
    assert told == []
    assert not list(Path("/dev/shm").glob("crsr-*"))
    monkeypatch.delattr(os, "memfd_create")
    with server_helpers.serving(place.with_name("t")) as server:
        picture = portrait()
        with Client(EffectSettings(), path=server.path, command=()) as client:
            wanted = client.enhance(picture)
        found, told = run(bench_with_posix_memory, server.path, [picture])
    assert same(found, [wanted])
    assert told == []
    assert (found[0] != picture)[face_area(picture)].any()


def test_memory_that_is_not_sealed_is_refused_on_linux(bench_with_posix_memory, server):
    pictures = noise()
    found, told = run(bench_with_posix_memory, server.path, pictures)
    assert same(found, pictures)
    assert told == [
        "crsr: the memory of frames must be sealed against shrinking; frames pass unchanged"
    ]


def test_parameters_arrive(bench, server):
    pictures = [portrait(), portrait(4)]
    settings = EffectSettings(0.5, 64.0, EffectFlag.COMPARE | EffectFlag.ORDERED, "identity")
    with Client(settings, path=server.path, command=()) as client:
        wanted = [client.enhance(picture) for picture in pictures]
    options = ["strength=0.5", "min_face=0.25", "model=identity", "compare=1"]
    found, _ = run(bench, server.path, pictures, options, CRSR_ORDERED="1")
    assert same(found, wanted)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("model=none", "unknown model 'none'"),
        ("persons=x", "invalid track ID 'x'"),
        ("tracks=missing.json", f"{Path.cwd()}/missing.json: cannot be read"),
        ("tracks=two\nlines", "not one line of UTF-8 text"),
        ("model=" + "x" * 5000, "not one line of UTF-8 text"),
    ],
    ids=["model", "persons", "tracks", "newline", "length"],
)
def test_parameters_that_cannot_be_used_are_reported_in_one_line(bench, server, option, told):
    pictures = noise()
    found, lines = run(bench, server.path, pictures, [option])
    assert same(found, pictures)
    assert len(lines) == 1
    assert lines[0].startswith("crsr: ")
    assert told in lines[0]


@pytest.mark.parametrize("slices", [2, 4])
def test_slices_pass_unchanged(bench, server, slices):
    pictures = [portrait(), portrait(4)]
    found, lines = run(bench, server.path, pictures, [f"-slices={slices}"])
    assert same(found, pictures)
    assert len(lines) == 1
    assert "slices" in lines[0]


def test_it_starts_the_server_once_and_leaves_it_running(bench, place):
    pictures = noise(8)
    found, told = run(bench, place, pictures, ["-threads=4"], **fake())
    assert same(found, inverted(pictures))
    assert told == []
    (server,) = pids(place)
    assert os.getsid(server) != os.getsid(0)
    assert Path(f"/proc/{server}/cwd").readlink() == Path("/")
    held = {entry.readlink().name for entry in Path(f"/proc/{server}/fd").iterdir()}
    assert not {name for name in held if name in ("in", "out", "crsr.so")}
    assert same(run(bench, place, pictures)[0], inverted(pictures))  # a second host finds it
    assert pids(place) == [server]


def test_after_kill_9_a_frame_passes_and_then_all_is_well_again(bench, place):
    pictures = noise(6)
    host = Run(bench, place, pictures, ["-each=1"], **fake())
    host.step()
    host.step()
    os.kill(pids(place)[0], signal.SIGKILL)
    host.step()
    assert zombies(host.process.pid) == []
    time.sleep(0.6)  # it tries again half a second after
    host.step()
    host.step()
    host.step()
    found, lines = host.done()
    assert same(found[:2], inverted(pictures)[:2])
    assert np.array_equal(found[2], pictures[2])
    assert same(found[3:], inverted(pictures)[3:])
    assert lines == [
        "crsr: the server has gone; frames pass unchanged",
        "crsr: faces are enhanced again",
    ]
    assert len(pids(place)) == 2


def zombies(process):
    """Return the IDs of the children of a process."""
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        pytest.param("silent", "does not answer in time", marks=pytest.mark.plugins),
        pytest.param("frames", "does not answer in time", marks=pytest.mark.plugins),
        ("version", "uses version 9 of the protocol, the effect version 1"),
        ("noise", "not from a server of crsr-video"),
    ],
)
def test_a_strange_server_costs_a_line_and_no_frame(bench, place, mode, told):
    pictures = noise(20)
    # Started beforehand, so that the wait is for its answers alone.
    environment = fake(mode)
    assert run(bench, place, noise(1), **environment, CRSR_TIMEOUT_MS="3000")[0].any()
    begin = time.monotonic()
    found, lines = run(bench, place, pictures, **environment, CRSR_TIMEOUT_MS="300")
    assert same(found, pictures)
    assert len(lines) == 1
    assert told in lines[0]
    assert time.monotonic() - begin < 20


def test_frames_pass_unchanged_without_a_server(bench, place):
    pictures = noise(20)
    found, lines = run(bench, place, pictures)
    assert same(found, pictures)
    assert lines == ["crsr: there is no server, and none was started; frames pass unchanged"]


@pytest.mark.parametrize(
    "kind", ["folder", "file", pytest.param("no folder", marks=pytest.mark.plugins)]
)
def test_a_file_that_is_no_socket_is_reported_and_kept(bench, place, kind):
    path = place
    if kind == "folder":
        place.mkdir(0o700)
    elif kind == "file":
        place.write_text("somebody's")
    else:
        path = place / "missing/s"
    pictures = noise(2)
    wrong = fake("dead") | {"CRSR_SOCKET": str(path)}
    found, lines = run(bench, place, pictures, **wrong)
    assert same(found, pictures)
    told = f"{path}.log cannot be written" if kind == "no folder" else "exists and is not a soc"
    assert len(lines) == 1 and told in lines[0]
    assert kind != "file" or place.read_text() == "somebody's"


@pytest.mark.plugins  # it waits a while for a server that another one may be starting
@pytest.mark.parametrize("command", ["/nowhere/crsr-video", ""], ids=["missing", "failing"])
def test_a_server_that_does_not_start_is_told(bench, place, command):
    pictures = noise(4)
    environment = fake("dead") | ({"CRSR_SERVER": command} if command else {})
    found, lines = run(bench, place, pictures, **environment)
    assert same(found, pictures)
    assert len(lines) == 1
    assert f"could not be started: {place}.log says why" in lines[0]
    log = Path(f"{place}.log").read_text()
    assert ("not found" if command else "it cannot be helped") in log


def test_a_socket_that_is_nobodys_is_replaced(bench, place):
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    pictures = noise(2)
    assert same(run(bench, place, pictures, **fake())[0], inverted(pictures))


def test_paths_of_no_socket_are_reported(bench, place):
    pictures = noise(1)
    _, lines = run(bench, place, pictures, CRSR_SOCKET=str(place) + "x" * 100)
    assert "too long for a socket" in lines[0]
    _, lines = run(bench, place, pictures, CRSR_SOCKET="relative")
    assert "absolute path" in lines[0]


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (720, 4),
        (854, 480),
        (326, 246),
        pytest.param((3840, 2160), marks=pytest.mark.plugins),
    ],
    ids=str,
)
def test_frames_of_all_sizes(bench, place, shape):
    pictures = noise(2, *shape)
    found, _ = run(bench, place, pictures, **fake())
    band = shape[0] > 3 * shape[1]
    assert same(found, pictures if band else inverted(pictures))


def test_the_effect_survives_whatever_a_server_may_answer(bench):
    done = subprocess.run(
        [str(bench / "fuzz"), "1", "5000"], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr[-2000:]
    fine, *_, refused = map(int, done.stdout.split())
    assert fine > 500
    assert refused > 500


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(2, 8))
def test_the_effect_survives_a_great_many_answers(bench, seed):
    done = subprocess.run(
        [str(bench / "fuzz"), str(seed), "300000"],
        capture_output=True,
        text=True,
        errors="replace",  # The server of this test also sends invalid UTF-8.
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
