"""After kills, power failures and full disks, the same call resumes the run to the same result."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crsr_video import pipeline, weights
from crsr_video.errors import OutputError
from crsr_video.io.output_file import NameLock
from crsr_video.jobs.segments import compatibility, enhance_resumably, plan
from crsr_video.jobs.segments.work_folder import SegmentJournal, work_folder_of
from crsr_video.jobs.segments.worker import SegmentWorker
from crsr_video.private_folder import PrivateFolder
from crsr_video.runtime import placement as devices
from tests.support.disks import enlarge, small_disk
from tests.support.paths import ROOT
from tests.support.video import make_video
from tests.unit.jobs.segments.fake_pipeline import build
from tests.unit.jobs.segments.killing import CONFIG, LENGTH
from tests.unit.jobs.segments.test_equal_results import frames, others

pytestmark = pytest.mark.usefixtures("fake_pipeline")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    return make_video(folder / "in.mp4", frames=45, b_frames=2, gop=8, audio=2)


@pytest.fixture(scope="module")
def whole(source: Path) -> Path:
    """Return the result of an uninterrupted run."""
    path = source.with_name("whole.mp4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build", build)
        enhance_resumably(source, path, CONFIG, length=LENGTH)
    return path


def resume(source: Path, output: Path, **choices: Any) -> int:
    """Run again, and return the number of frames that were already finished."""
    config = CONFIG.with_options(**choices)
    return enhance_resumably(source, output, config, length=LENGTH).resumed


def assert_same(output: Path, whole: Path) -> None:
    assert frames(output) == frames(whole)
    assert others(output) == others(whole)
    assert not work_folder_of(output).exists()
    assert [p.name for p in output.parent.iterdir() if p.name.startswith(".")] == []


# The first segments have 8 frames and one line in the journal each, after the header.
KILLED = {
    "in a segment": ("frame:3", 0),
    "between its file and its line": ("file:2", 8),
    "after lines, and again": ("line:2,frame:5,line:1,frame:1", 16),
    "while joining": ("joined:20", 45),
    "when it had its name": ("file:6", 45),
    "while clearing up": ("cleared:3", 45),
}


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_can_be_killed_at_any_moment(source: Path, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.unit.jobs.segments.killing", source, folder),
            *(moments for moments, _ in KILLED.values()),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = []
    for moments, resumed in KILLED.values():
        for moment in moments.split(","):
            named = moment in ("file:6", "cleared:3")
            expected.append(f"{moment} {'result' if named else 'none'}")
        expected.append(f"45 {resumed}")
    assert done.stdout.splitlines() == expected
    for number in range(len(KILLED)):
        assert_same(folder / f"{number}.mp4", whole)


class StopError(Exception):
    """Stops the work like a signal."""


def stopped(
    source: Path,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int = 2,
    **choices: Any,
) -> Path:
    """Stop a run after some segments, and return its work folder."""
    original = SegmentWorker.enhance

    def enhance(self: SegmentWorker, segment: Any, *args: Any) -> Any:
        if segment.number == after:
            raise StopError
        return original(self, segment, *args)

    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(SegmentWorker, "enhance", enhance)
        resume(source, output, **choices)
    assert not output.exists()
    return work_folder_of(output)


def torn_line(folder: Path) -> None:
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"check": 123, "record": {"segm')


def zeroed_line(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + bytes(len(lines[-1])))


def halved_segment(folder: Path) -> None:
    path = folder / "segment000001.nut"
    os.truncate(path, path.stat().st_size // 2)


def flipped_bit(folder: Path) -> None:
    path = folder / "segment000000.nut"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def missing_segment(folder: Path) -> None:
    (folder / "segment000000.nut").unlink()


def half_header(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    os.truncate(journal, 40)


def strays(folder: Path) -> None:
    (folder / ".segment000002.1234abcd.part.nut").write_bytes(b"half")


@pytest.mark.parametrize(
    ("harm", "kept"),
    [
        (torn_line, 2),
        (zeroed_line, 1),
        (halved_segment, 1),
        (flipped_bit, 1),
        (missing_segment, 1),
        (half_header, 0),
        (strays, 2),
    ],
)
def test_damage_by_a_power_failure_is_repaired(
    harm: Callable[[Path], None],
    kept: int,
    source: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out.mp4"
    harm(stopped(source, output, monkeypatch))
    assert resume(source, output) == 8 * kept
    assert_same(output, whole)


def test_work_of_a_different_run_is_refused(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    folder = stopped(source, output, monkeypatch)
    with pytest.raises(OutputError, match=r"begun with strength 1\.0 \(now 0\.5\); `restart`"):
        resume(source, output, strength=0.5)
    other = make_video(tmp_path / "other.mp4", frames=45, size=(64, 64))
    with pytest.raises(OutputError, match="different content of the source; `restart`"):
        resume(other, output)
    assert folder.exists()
    assert resume(source, output, resume=True, restart=True) == 0
    assert_same(output, whole)


def test_a_run_without_finished_segments_is_discarded(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    folder = stopped(source, output, monkeypatch, after=0)
    assert not folder.exists()
    folder.mkdir()
    with PrivateFolder(folder) as opened:
        SegmentJournal(opened, "journal.jsonl").append({"format": 1, "facts": {"strength": "0.1"}})
    assert resume(source, output) == 0
    assert_same(output, whole)


def test_work_of_another_version_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    stopped(source, output, monkeypatch)
    monkeypatch.setattr("crsr_video.jobs.segments.compatibility.__version__", "9.9")
    with pytest.raises(OutputError, match=r"with crsr-video .* \(now 9\.9\); `restart`"):
        resume(source, output)


def _without_vnni(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("crsr_video.networks.onednn.has_vnni", lambda: False)


def _without_ranges(patch: pytest.MonkeyPatch) -> None:
    original = compatibility.versions
    patch.setattr(compatibility, "versions", lambda config: original(config) | {"ranges": "other"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_vnni, r"in int8 on cpu, but int8 needs a CPU with VNNI.*; `restart`"),
        (_without_ranges, r"with different int8 ranges; `restart`"),
    ],
)
def test_int8_work_is_only_resumed_with_the_same_int8(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
    words: str,
) -> None:
    if devices.place("cpu").precision != "int8":
        pytest.skip("this processor has no int8 instructions")
    output = tmp_path / "out.mp4"
    choices: dict[str, Any] = {"model": "fast", "precision": "auto"}
    stopped(source, output, monkeypatch, **choices)
    assert begun_in(work_folder_of(output)) == "int8"
    with monkeypatch.context() as patch:
        change(patch)
        with pytest.raises(OutputError, match=words):
            resume(source, output, **choices)
    assert resume(source, output, **choices) == 16


def begun_in(folder: Path) -> str:
    """Return the precision in the journal."""
    with PrivateFolder(folder) as opened:
        return str(SegmentJournal(opened, "journal.jsonl").records[0]["precision"])


def test_uncalibrated_weights_are_not_planned_in_int8(source: Path, tmp_path: Path) -> None:
    own = shutil.copy(weights.path_of(weights.FAST), tmp_path / "own.safetensors")
    config = CONFIG.with_options(model=str(own), precision="auto")
    precision = plan(source, config, tmp_path / "out.mp4").config.networks.precision
    assert precision == devices.place("cpu").for_weights(int8=False).precision


def test_a_locked_result_is_refused(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with (
        NameLock(output),
        pytest.raises(OutputError, match=r"another run is writing that file \(process"),
    ):
        resume(source, output)
    assert [path.name for path in tmp_path.iterdir()] == []
    assert resume(source, output) == 0


def test_an_existing_result_is_kept(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        resume(source, output)
    assert output.read_bytes() == b"precious"
    assert not work_folder_of(output).exists()


def test_an_unreadable_source_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing to see here" * 100)
    with pytest.raises(Exception, match="not a media file"):
        resume(broken, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


@pytest.mark.parametrize("place", ["line", "segment", "join"])
def test_a_run_resumes_after_a_full_disk(
    place: str, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is injected; `test_a_run_resumes_after_a_real_full_disk` uses a real disk."""
    output = tmp_path / "out.mp4"
    folder = work_folder_of(output)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(self: SegmentJournal, record: dict[str, Any]) -> None:
        if record.get("segment", {}).get("number") == 2:
            full()
        original(self, record)

    original = SegmentJournal.append
    with monkeypatch.context() as patch:
        if place == "line":
            patch.setattr(SegmentJournal, "append", append)
        elif place == "segment":
            stopped(source, output, patch)
            patch.setattr("crsr_video.io.output_file.publish", full)
        else:
            patch.setattr("crsr_video.jobs.segments.joining.Writer.push_encoded", full)
        with pytest.raises(OutputError, match=r"No space left on device.*same command resumes it"):
            resume(source, output)
    assert not output.exists()
    assert folder.exists()
    assert resume(source, output) >= 16
    assert_same(output, whole)


def test_a_run_resumes_after_a_real_full_disk(source: Path, whole: Path, tmp_path: Path) -> None:
    size = whole.stat().st_size
    with small_disk(tmp_path / "disk", size) as disk:
        output = disk / "out.mp4"
        with pytest.raises(OutputError, match="No space left on device"):
            resume(source, output)
        assert not output.exists()
        enlarge(disk, 8 * size + (1 << 20))
        assert resume(source, output) > 0
        assert_same(output, whole)


def test_the_journal_keeps_undamaged_records(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with PrivateFolder(tmp_path) as folder:
        journal = SegmentJournal(folder, path.name)
        for number in range(3):
            journal.append({"number": number, "text": "Füße"})
        assert SegmentJournal(folder, path.name).records == [
            {"number": n, "text": "Füße"} for n in range(3)
        ]
        lines = path.read_bytes().splitlines(keepends=True)
        entry = json.loads(lines[1])
        entry["record"]["number"] = 7
        path.write_bytes(lines[0] + json.dumps(entry).encode() + b"\n" + lines[2])
        assert [r["number"] for r in SegmentJournal(folder, path.name).records] == [0]
        SegmentJournal(folder, path.name).append({"number": 9})
        assert [r["number"] for r in SegmentJournal(folder, path.name).records] == [0, 9]
