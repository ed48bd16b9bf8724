"""Leftovers of killed runs without segments, and locks on the names of results."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.output_file import NameLock, lock_name, remove_leftovers
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.paths import ROOT
from tests.support.video import make_video

QUICK = OutputSettings(preset="ultrafast")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="open files stay there anyway")


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part*"))


def left_by_a_killed_run(source: Path, output: Path) -> Path:
    """Return the temporary file of a run that was killed."""
    program = (
        "import os, signal, sys\n"
        "from crsr_video.io.reader import Reader\n"
        "from crsr_video.io.writer import Writer\n"
        "encoder = Writer(sys.argv[2], Reader(sys.argv[1]).source)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(source), str(output)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not output.exists()
    (left,) = parts(output.parent)
    return left


def test_the_next_run_removes_leftovers_of_a_killed_run(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    left = left_by_a_killed_run(source, output)
    with Reader(source) as decoder:
        encoder = Writer(output, decoder.source, QUICK)
        assert not left.exists()
        encoder.abort()
    assert parts(tmp_path) == []


def test_files_that_are_being_written_are_kept(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    foreign = tmp_path / ".out.0123abcd.part.mkv"
    foreign.write_bytes(b"of another result")
    with Reader(source) as decoder:
        first, second = (Writer(output, decoder.source, QUICK, exclusive=False) for _ in range(2))
        remove_leftovers(output)
        assert len(parts(tmp_path)) == 3
        first.abort()
        remove_leftovers(output)
        assert len(parts(tmp_path)) == 2
        second.abort()
    assert parts(tmp_path) == [foreign]


def test_a_result_is_written_by_one_run_at_a_time(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with Reader(source) as decoder:
        with Writer(output, decoder.source, QUICK) as first:
            (part,) = parts(tmp_path)
            with pytest.raises(OutputError, match=lock_message(output, os.getpid())):
                Writer(output, decoder.source, QUICK, overwrite=True)
            Writer(tmp_path / "other.mp4", decoder.source, QUICK).abort()
            assert parts(tmp_path) == [part]
            first.push(next(item for item in decoder if isinstance(item, Frame)))
        with pytest.raises(OutputError, match="exists already"):
            Writer(output, decoder.source, QUICK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def lock_message(path: Path, process: int) -> str:
    return re.escape(f"{path}: another run is writing that file (process {process})")


def test_a_lock_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from crsr_video.io.output_file import NameLock\n"
        "lock = NameLock(Path(sys.argv[1]))\n"
        "lock.take()\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = tmp_path / ("long" * 61 + ".mp4")  # 248 of 255 bytes.
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match=lock_message(path, other.pid)), NameLock(path):
            pass
        other.kill()
    assert list(tmp_path.iterdir()) == [lock_name(path)]
    with NameLock(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_appears_while_waiting_for_the_lock_is_kept(tmp_path: Path) -> None:
    """The other run ends between the check of the folder and the lock."""
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    original = NameLock.take

    def late(self: NameLock) -> None:
        original(self)
        output.write_bytes(b"of the other run")

    with pytest.MonkeyPatch.context() as patch, Reader(source) as decoder:
        patch.setattr(NameLock, "take", late)
        with pytest.raises(OutputError, match="exists already"):
            Writer(output, decoder.source, QUICK)
    assert output.read_bytes() == b"of the other run"
    assert not lock_name(output).exists()


def test_a_lock_does_not_follow_symbolic_links(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"text")
    lock_name(tmp_path / "out.mp4").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic link"):
        NameLock(tmp_path / "out.mp4").take()
    assert precious.read_bytes() == b"text"
