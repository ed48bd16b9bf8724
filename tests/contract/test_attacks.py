"""Attacks by somebody who can write to the same folders, or who can reach the same server."""

import contextlib
import json
import os
import platform
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crsr_video import weights
from crsr_video.cli import settings_files
from crsr_video.errors import OutputError, TracksError, WeightsError
from crsr_video.files import sha256_of_file
from crsr_video.io.output_file import NameLock, OutputFile, lock_name, remove_traces
from crsr_video.jobs.segments import resuming
from crsr_video.jobs.segments.work_folder import SegmentJournal, work_folder_of
from crsr_video.jobs.segments.worker import SegmentWorker
from crsr_video.private_folder import PrivateFolder
from crsr_video.report.document import is_overview
from crsr_video.runtime import measurements
from crsr_video.track import tracks_file
from tests.support.cli import run
from tests.support.paths import ROOT
from tests.support.video import make_video
from tests.unit.jobs.segments.fake_pipeline import fake_pipeline
from tests.unit.jobs.segments.killing import CONFIG, LENGTH

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
needs_second_user = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a second user"
)
fake_pipeline = fake_pipeline
NOBODY = 65534


@contextlib.contextmanager
def no_longer_than(seconds: float) -> Any:
    """Fail instead of hanging: an alarm interrupts a blocked `open`."""
    import signal

    def fail(*_: object) -> None:
        raise AssertionError(f"blocked for more than {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# The folder of a resumable run --------------------------------------------------------------------


class Work:
    """A source, and the result whose folder is attacked."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.source, self.output = source, folder / "v.mp4"
        self.folder = work_folder_of(self.output)
        self.journal = self.folder / "journal.jsonl"
        self.secret = folder / "private"
        self.secret.mkdir()
        for name in ("letter.txt", "segment000000.nut", "journal.jsonl"):
            (self.secret / name).write_text("private")

    def resume(self, **choices: Any) -> int:
        """Run, and return the number of frames that were finished before."""
        config = CONFIG.with_options(resume=True, **choices)
        with no_longer_than(60):
            return resuming.enhance_resumably(
                self.source, self.output, config, length=LENGTH
            ).resumed

    def stop_after_first_segment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Leave a folder with one finished segment."""
        original = SegmentWorker.enhance

        def enhance(self: SegmentWorker, segment: Any, *args: Any) -> Any:
            if segment.number == 1:
                raise KeyboardInterrupt
            return original(self, segment, *args)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(SegmentWorker, "enhance", enhance)
            self.resume()
        assert (self.folder / "segment000000.nut").exists()

    def assert_secret_is_untouched(self) -> None:
        """Check that no private file was changed or removed."""
        found = {path.name: path.read_text() for path in self.secret.iterdir()}
        assert found == dict.fromkeys(
            ("letter.txt", "segment000000.nut", "journal.jsonl"), "private"
        )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("source") / "a.mp4", frames=25, size=(64, 64))


@pytest.fixture
def work(request: pytest.FixtureRequest, tmp_path: Path, source: Path) -> Work:
    request.getfixturevalue("fake_pipeline")
    return Work(tmp_path, source)


@pytest.mark.parametrize("restart", [False, True])
def test_a_link_in_place_of_the_folder_is_refused(work: Work, restart: bool) -> None:
    work.folder.symlink_to(work.secret)
    with pytest.raises(OutputError, match=r"\.v\.mp4\.resume: is a link or a file, not a folder"):
        work.resume(restart=restart)
    work.assert_secret_is_untouched()


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(work: Work, mode: int) -> None:
    work.folder.mkdir()
    work.folder.chmod(mode)
    with pytest.raises(OutputError, match="other users can write to it"):
        work.resume()


@needs_second_user
def test_a_folder_of_another_user_is_refused(work: Work) -> None:
    work.folder.mkdir(mode=0o700)
    os.chown(work.folder, NOBODY, NOBODY)
    with pytest.raises(OutputError, match="belongs to another user"):
        work.resume()


@needs_second_user
def test_another_user_cannot_look_into_the_folder_or_add_to_it(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (work.output.parent, *work.output.parent.parents):
        if folder.stat().st_uid == 0 and folder != Path("/") and "pytest" in str(folder):
            folder.chmod(0o755)
    work.stop_after_first_segment(monkeypatch)
    attack = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY}); "
    for step in (f"os.listdir({str(work.folder)!r})", f"open({str(work.journal)!r}, 'a')"):
        done = subprocess.run([sys.executable, "-c", attack + step], capture_output=True)
        assert b"PermissionError" in done.stderr


def as_link(work: Work) -> None:
    work.journal.unlink()
    work.journal.symlink_to(work.secret / "journal.jsonl")


def as_pipe(work: Work) -> None:
    work.journal.unlink()
    os.mkfifo(work.journal)


def as_folder(work: Work) -> None:
    work.journal.unlink()
    work.journal.mkdir()


def with_record(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Work], None]:
    """Return an attack that forges the records of a journal, with valid checksums."""

    def forge(work: Work) -> None:
        with PrivateFolder(work.folder) as folder:
            records = SegmentJournal(folder, "journal.jsonl").records
            change(records)
            work.journal.unlink()
            journal = SegmentJournal(folder, "journal.jsonl")
            for record in records:
                journal.append(record)

    return forge


FORGERIES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "path": lambda r: r[1]["segment"].update(name="../private/segment000000.nut"),
    "absolute path": lambda r: r[1]["segment"].update(name="/etc/passwd"),
    "another segment": lambda r: r[1]["segment"].update(name="segment000001.nut"),
    "the journal": lambda r: r[1]["segment"].update(name="journal.jsonl"),
    "number": lambda r: r[1]["segment"].update(number=99),
    "frames": lambda r: r[1]["segment"].update(frames=-5),
    "durations": lambda r: r[1]["segment"].update(durations=[]),
    "type": lambda r: r[1].update(segment=["no", "object"]),
    "missing field": lambda r: r[1]["segment"].pop("size"),
    "threads": lambda r: r[0].update(threads=100_000),
    "segments": lambda r: r[0].update(segments=[r[0]["segments"][0]] * 3),
    "device": lambda r: r[0].update(device="no such device"),
    "header": lambda r: r[0].pop("settings"),
}
ATTACKS = {"link": as_link, "pipe": as_pipe} | {
    name: with_record(change) for name, change in FORGERIES.items()
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_bad_journal_leads_to_restart(
    attack: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.stop_after_first_segment(monkeypatch)
    ATTACKS[attack](work)
    with pytest.raises(OutputError, match="`restart` discards it"):
        work.resume()
    assert not work.output.exists()
    assert work.resume(restart=True) == 0
    assert work.output.exists()
    assert not work.folder.exists()
    work.assert_secret_is_untouched()


def test_a_joined_record_is_no_proof_without_all_segments(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.stop_after_first_segment(monkeypatch)
    with_record(lambda records: records.append({"joined": True}))(work)
    work.output.write_bytes(b"planted")
    with pytest.raises(OutputError, match="exists already"):
        work.resume()
    assert work.output.read_bytes() == b"planted"


def test_foreign_files_in_the_folder_are_kept(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.stop_after_first_segment(monkeypatch)
    names = ("notes.txt", "segment.nut", "xsegment000001.nut", ".segment000001.part.nut")
    for name in names:
        (work.folder / name).write_text("mine")
    (work.folder / "segment000009.nut").symlink_to(work.secret / "letter.txt")
    assert work.resume() > 0
    assert work.output.exists()
    assert {path.name for path in work.folder.iterdir()} == set(names)
    work.assert_secret_is_untouched()


def test_links_in_place_of_segments_are_not_followed(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.stop_after_first_segment(monkeypatch)
    segment = work.folder / "segment000000.nut"
    segment.rename(work.secret / "copy.nut")
    segment.symlink_to(work.secret / "copy.nut")
    assert work.resume() == 0
    (work.secret / "copy.nut").unlink()
    work.assert_secret_is_untouched()


def test_a_folder_that_is_swapped_for_a_link_is_noticed(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SegmentWorker.enhance

    def enhance(self: SegmentWorker, segment: Any, *args: Any) -> Any:
        result = original(self, segment, *args)
        if segment.number == 0:
            work.folder.rename(work.folder.with_name("aside"))
            work.folder.symlink_to(work.secret)
        return result

    monkeypatch.setattr(SegmentWorker, "enhance", enhance)
    with pytest.raises(OutputError, match="was replaced while it was in use"):
        work.resume()
    work.assert_secret_is_untouched()


def test_the_journal_is_readable_by_its_owner_only(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.stop_after_first_segment(monkeypatch)
    assert work.folder.stat().st_mode & 0o777 == 0o700
    assert work.journal.stat().st_mode & 0o777 == 0o600
    assert json.loads(work.journal.read_text().splitlines()[0])["record"]["format"] == 2


# Files beside a result ---------------------------------------------------------------------------


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Yield a folder whose path is short enough for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="w") as folder:
        yield Path(folder)


def written(output: Path) -> None:
    """Write a result in the way in which all results are written."""
    with no_longer_than(20):
        file = OutputFile(output, None, overwrite=True)
        file.temporary.write_bytes(b"result")
        file.publish()
        file.release()
    assert output.read_bytes() == b"result"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_terminal(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(5, 0))


def make_zeros(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


SPECIAL_FILES = [
    os.mkfifo,
    make_socket,
    pytest.param(make_terminal, marks=needs_second_user),
    pytest.param(make_zeros, marks=needs_second_user),
    Path.mkdir,
]


@pytest.mark.parametrize("make", SPECIAL_FILES)
def test_special_files_named_like_a_leftover_do_not_block(
    make: Callable[[Path], None], short_folder: Path
) -> None:
    left = short_folder / ".w.0123abcd.part.mp4"
    make(left)
    kind = stat.S_IFMT(left.stat().st_mode)
    written(short_folder / "w.mp4")
    with no_longer_than(20):
        remove_traces(short_folder / "w.mp4")
    assert stat.S_IFMT(left.stat().st_mode) == kind


def test_a_link_named_like_a_leftover_is_not_followed(tmp_path: Path) -> None:
    private, left = tmp_path / "private", tmp_path / ".w.0123abcd.part.mp4"
    private.write_text("private")
    left.symlink_to(private)
    written(tmp_path / "w.mp4")
    assert private.read_text() == "private"


@needs_second_user
def test_a_leftover_of_another_user_is_kept(tmp_path: Path) -> None:
    own, other = tmp_path / ".w.0123abcd.part.mp4", tmp_path / ".w.89abcdef.part.mp4"
    own.touch()
    other.touch()
    os.chown(other, NOBODY, NOBODY)
    written(tmp_path / "w.mp4")
    assert not own.exists()
    assert other.exists()


@pytest.mark.parametrize("make", SPECIAL_FILES)
def test_special_files_in_place_of_a_lock_are_refused(
    make: Callable[[Path], None], short_folder: Path
) -> None:
    make(lock_name(short_folder / "w.mp4"))
    with no_longer_than(20), pytest.raises(OutputError, match=r"w\.mp4: cannot be written"):
        OutputFile(short_folder / "w.mp4", None, overwrite=True)


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_that_is_another_file_is_not_emptied(
    make: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.write_text("private")
    make(lock_name(tmp_path / "w.mp4"), private)
    with pytest.raises(OutputError, match=r"w\.mp4: cannot be written"):
        OutputFile(tmp_path / "w.mp4", None, overwrite=True)
    assert private.read_text() == "private"


def test_the_holder_of_a_lock_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "w.mp4"
    with NameLock(path):
        lock_name(path).write_bytes(b"1 \x1b]0;evil\x07")
        with pytest.raises(OutputError) as caught:
            NameLock(path).take()
        assert str(caught.value).isprintable()
        lock_name(path).write_bytes(f"12 {platform.node()}".encode())
        with pytest.raises(OutputError, match="process 12"):
            NameLock(path).take()


# Files that are read -----------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [sha256_of_file, weights.load, tracks_file.read])
def test_reading_a_pipe_does_not_block(reader: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "input.safetensors"
    os.mkfifo(path)
    argument = str(path) if reader is weights.load else path
    with no_longer_than(20), pytest.raises((OSError, WeightsError, TracksError)) as caught:
        reader(argument)
    assert "not a regular file" in str(caught.value)


def test_a_pipe_in_place_of_an_overview_is_no_overview(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "all.html")
    with no_longer_than(20):
        assert not is_overview(tmp_path / "all.html")


@pytest.mark.parametrize("name", ["user", "beside the input"])
def test_a_pipe_in_place_of_a_settings_file_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.toml"
    monkeypatch.setattr(settings_files, "user_file", lambda: own)
    os.mkfifo(own if name == "user" else settings_files.beside(tmp_path / "a.mp4"))
    with no_longer_than(60):
        done = run("enhance", tmp_path / "a.mp4")
    assert done.exit_code == 2
    assert "cannot be read: not a regular file" in done.stderr


def test_a_pipe_in_place_of_a_cached_measurement_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    assert measurements.measured_once("speed", "here", 1, lambda: [1.0]) == [1.0]
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.unlink()
    os.mkfifo(path)
    with no_longer_than(20):
        assert measurements.measured_once("speed", "here", 1, lambda: [2.0]) == [2.0]


def test_systems_without_these_flags_and_descriptors_work(tmp_path: Path) -> None:
    """Windows has none of them: folders, journals and locks are then opened by their paths."""
    program = (
        "import os, sys, pathlib\n"
        "for name in ('O_NOFOLLOW', 'O_NONBLOCK', 'O_DIRECTORY'): delattr(os, name)\n"
        "os.supports_dir_fd.clear()\n"
        "from crsr_video.files import sha256_of_file, write_file\n"
        "from crsr_video.io.output_file import NameLock\n"
        "from crsr_video.jobs.segments.work_folder import SegmentJournal\n"
        "from crsr_video.private_folder import PrivateFolder\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "with NameLock(path / 'a.mp4'), PrivateFolder(path / 'folder') as folder:\n"
        "    SegmentJournal(folder, 'journal').append({'number': 7})\n"
        "    print(SegmentJournal(folder, 'journal').records, folder.names())\n"
        "    folder.check_name()\n"
        "    folder.unlink('journal')\n"
        "    write_file(path / 'folder' / 'b', [b'abc'])\n"
        "    print(folder.holds('journal'), sha256_of_file(path / 'folder' / 'b')[:8])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[{'number': 7}] ['journal']\nFalse ba7816bf\n", done.stderr
