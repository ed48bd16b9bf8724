"""``crsr-video enhance`` with several inputs."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from crsr_video.cli import main
from crsr_video.errors import ClusterError
from crsr_video.jobs import cluster
from crsr_video.jobs.cluster import connection
from tests.support.cli import QUICK
from tests.support.paths import ROOT
from tests.support.video import make_video, repeat_video

pytestmark = pytest.mark.usefixtures("face_models")


def make_folder(folder: Path) -> Path:
    """Write two videos and a text file into a new folder."""
    (folder / "sub").mkdir(parents=True)
    make_video(folder / "a.mp4", frames=5)
    make_video(folder / "sub" / "b.mp4", frames=5)
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "in")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["enhance", *(str(word) for word in words), *QUICK])


def errors(result: Result) -> list[str]:
    """Return the errors that were printed as they occurred."""
    pattern = re.compile(r"crsr-video: (\[\d+/\d+\] )?error: ")
    return [line for line in result.stderr.splitlines() if pattern.match(line)]


def listed(result: Result) -> list[str]:
    """Return the failures listed at the end."""
    return [line for line in result.stderr.splitlines() if line.startswith("crsr-video: failed:")]


@dataclass(frozen=True)
class Folder:
    """A folder with two videos, a damaged one and a text file, after a run over all of it."""

    source: Path
    output: Path
    result: Result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("queue")
    source, output = make_folder(folder / "in"), folder / "out"
    (source / "bad.mp4").write_bytes(b"junk")
    words = ["--recursive", source, folder / "none.mp4", "-o", output, "--report", "*.json"]
    return Folder(source, output, run(*words))


def test_a_folder_is_enhanced_with_a_report_for_each_file(finished: Folder) -> None:
    made = {str(p.relative_to(finished.output)) for p in finished.output.rglob("*.*")}
    assert made == {"a.mp4", "a.json", "sub/b.mp4", "sub/b.json"}
    assert "b.mp4" in (finished.output / "sub" / "b.json").read_text()
    notes = finished.source / "notes.txt"
    assert f"left out because they are no videos or pictures: {notes}" in finished.result.stderr


def test_failures_are_printed_at_once_and_listed_at_the_end(finished: Folder) -> None:
    bad, none = finished.source / "bad.mp4", finished.source.with_name("none.mp4")
    assert finished.result.exit_code == 1
    first, second = (
        f"{bad}: is not a media file, or damaged beyond reading",
        f"{none}: no such file",
    )
    assert errors(finished.result) == [
        f"crsr-video: [2/4] error: {first}",
        f"crsr-video: [4/4] error: {second}",
    ]
    assert finished.result.stderr.splitlines()[-3:] == [
        "crsr-video: 4 files: 0 enhanced, 2 unchanged, 0 skipped, 2 failed",
        f"crsr-video: failed: {first}",
        f"crsr-video: failed: {second}",
    ]


@pytest.mark.processes
def test_results_of_an_earlier_run_are_skipped_even_of_a_cut_off_source(
    clips: Path, tmp_path: Path
) -> None:
    cut = make_video(clips / "cut.mkv", frames=50, gop=10)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    words = [clips / "a.mp4", cut, "-o", tmp_path / "out"]
    result = run(*words)
    assert result.exit_code == 3, result.stderr
    assert "cut.mkv is cut off" in result.stderr
    assert "0 enhanced (1 damaged), 2 unchanged" in result.stderr
    again = run(*words)
    assert again.exit_code == 0, again.stderr
    assert f"skipped, {tmp_path / 'out' / 'a.mp4'} exists" in again.stderr
    assert "2 files: 0 enhanced, 2 skipped, 0 failed" in again.stderr


def test_the_failure_of_a_single_file_is_printed_once(clips: Path) -> None:
    for path in clips.rglob("*.*"):
        path.unlink()
    (clips / "bad.mp4").write_bytes(b"junk")
    result = run("--recursive", clips)
    assert result.exit_code == 1
    assert result.stderr.count("is not a media file") == 1
    assert errors(result)[0].startswith("crsr-video: error: ")


@pytest.mark.processes
def test_control_characters_in_names_are_escaped(clips: Path) -> None:
    odd = "a\nb\x1b[31m\u202e.mp4"
    (clips / "a.mp4").rename(clips / odd)
    (clips / f"bad {odd}").write_bytes(b"junk")
    cut = make_video(
        clips / f"cut {odd}", frames=50, gop=10, container_options={"movflags": "+faststart"}
    )
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    several = run("--recursive", clips)
    single = run(clips / odd, "-o", clips / f"out {odd}")
    failed = run(clips / f"bad {odd}")
    assert "0 enhanced (1 damaged), 3 unchanged" in several.stderr
    for result, count in ((several, 5), (single, 1), (failed, 1)):
        assert all(line.startswith("crsr-video: ") for line in result.stderr.split("\n")[:-1])
        assert set(result.stderr) <= {"\n", *filter(str.isprintable, result.stderr)}
        assert result.stderr.count(r"a\nb\x1b[31m\u202e") >= count


def test_a_single_file_keeps_its_name_in_a_folder(clips: Path, tmp_path: Path) -> None:
    result = run(clips / "a.mp4", "-o", f"{tmp_path / 'new' / 'deep'}/")
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["a.mp4"]
    result = run(clips / "sub" / "b.mp4", "-o", tmp_path / "new" / "deep")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "new" / "deep" / "b.mp4").exists()
    (clips / "bad.mp4").write_bytes(b"junk")
    result = run(clips / "bad.mp4", "-o", f"{tmp_path / 'none' / 'deep'}/")
    assert result.exit_code == 1
    assert len(errors(result)) == 1
    assert not (tmp_path / "none").exists()
    result = run(clips / "a.mp4", "-o", clips, "--overwrite")
    assert "is the source itself" in errors(result)[0]
    result = run(clips / "a.mp4", "-o", f"{clips / 'notes.txt'}/")
    assert f"{clips / 'notes.txt'}: cannot be made: File exists" in errors(result)[0]


def test_json_events_name_their_file(clips: Path) -> None:
    (clips / "bad.mp4").write_bytes(b"junk")
    result = run(clips / "a.mp4", clips / "bad.mp4", clips / "sub", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0] == {"event": "queue", "total": 3}
    assert events[-1] == {
        "event": "queue-summary",
        "total": 3,
        "enhanced": 0,
        "unchanged": 1,
        "skipped": 0,
        "damaged": 0,
        "failed": 2,
        "stopped": False,
    }
    by_file = {e["event"]: e["source"] for e in events[1:-1] if e["event"] != "error"}
    assert by_file["summary"] == by_file["progress"] == str(clips / "a.mp4")
    failed = {event["source"] for event in events if event["event"] == "error"}
    assert failed == {str(clips / "bad.mp4"), str(clips / "sub")}
    assert "crsr-video:" not in result.stderr


def test_quiet_prints_failures_only(clips: Path) -> None:
    (clips / "bad.mp4").write_bytes(b"junk")
    words = ["-q", "enhance", str(clips / "a.mp4"), str(clips / "bad.mp4"), *QUICK]
    result = CliRunner().invoke(main, words)
    assert len(result.stderr.splitlines()) == 1
    assert errors(result)[0].startswith(f"crsr-video: error: {clips / 'bad.mp4'}: ")


def test_conflicting_options_are_refused_before_any_work(clips: Path, tmp_path: Path) -> None:
    twin = make_video(tmp_path / "a.mp4", frames=5)
    result = run(clips / "a.mp4", twin, "-o", tmp_path / "one.mp4")
    assert result.exit_code == 2
    assert "need an output folder" in errors(result)[0]
    assert run("--recursive", clips, "--jobs", 0).exit_code == 2


def test_results_with_the_same_name_are_refused(clips: Path, tmp_path: Path) -> None:
    twin = make_video(tmp_path / "a.mp4", frames=5)
    result = run(clips / "a.mp4", twin, clips / "sub" / "b.mp4", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "3 files: 0 enhanced, 1 unchanged, 0 skipped, 2 failed" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mp4"]
    assert f"{twin}: would write {tmp_path / 'out' / 'a.mp4'}, like" in listed(result)[1]


def test_a_single_file_is_no_queue(clips: Path) -> None:
    result = run(clips / "a.mp4", "--jobs", 2, "-v")
    assert "Time per frame in ms" in result.stderr
    assert run(clips / "a.mp4").exit_code == 1  # The result exists; a queue would skip it.


def test_the_ray_options_reach_the_cluster(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = SimpleNamespace()

    def fake(jobs: object, *_: object, **how: object) -> None:
        given.jobs, given.how = jobs, how
        raise ClusterError("no worker of the cluster can be used: torch 1 (now 2) (machine far)")

    monkeypatch.setattr(cluster, "run", fake)
    words = ["--ray", "head:6379", "--ray-gpus", 0.25, "--ray-cpus", 2, "--jobs", 3]
    result = run(clips / "a.mp4", "-o", tmp_path / "out.mp4", *words)
    assert result.exit_code == 1
    assert errors(result)[0].endswith(
        "no worker of the cluster can be used: torch 1 (now 2) (machine far)"
    )
    assert [job.output for job in given.jobs] == [tmp_path / "out.mp4"]
    assert given.how["address"] == "head:6379"
    assert given.how["workers"] == 3
    assert given.how["resources"] == cluster.WorkerResources(2.0, 0.25)


def test_a_missing_ray_is_reported_with_its_extra(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    result = run(clips / "a.mp4", "--ray", "local")
    assert result.exit_code == 1
    assert len(errors(result)) == 1
    assert "pip install 'crsr-video[ray]'" in errors(result)[0]


@pytest.mark.processes
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_signal_stops_the_current_file_and_the_rest_is_summed_up(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=3)
    repeat_video(tmp_path / "b.h264", 30)
    words = [sys.executable, "-m", "crsr_video", "enhance", "--json", "a.mp4", "b.h264", *QUICK]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["source"] == "b.h264":
                break
        process.send_signal(signal.SIGINT)
        *_, last = process.stdout
        printed = process.stderr.read()
    assert process.returncode == 128 + signal.SIGINT
    summary = json.loads(last)
    assert (summary["unchanged"], summary["failed"], summary["stopped"]) == (1, 0, True)
    assert "stopped by SIGINT" in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.enhanced.mp4", "a.mp4", "b.h264"]
