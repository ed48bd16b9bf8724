"""What a killed run without segments leaves: nothing under the final name, and nothing for long."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from make_video import make_video

from crsr_video.config import EncodeSettings
from crsr_video.decode import Decoder
from crsr_video.encode import Encoder
from crsr_video.media.output_file import remove_leftovers

QUICK = EncodeSettings(preset="ultrafast")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="open files stay there anyway")


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part*"))


def left_by_a_killed_run(source: Path, output: Path) -> Path:
    """The file that a run was writing when it was killed."""
    program = (
        "import os, signal, sys\n"
        "from crsr_video.decode import Decoder\n"
        "from crsr_video.encode import Encoder\n"
        "encoder = Encoder(sys.argv[2], Decoder(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(source), str(output)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not output.exists()
    (left,) = parts(output.parent)
    return left


def test_the_next_run_clears_up_after_a_killed_one(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    left = left_by_a_killed_run(source, output)
    with Decoder(source) as decoder:
        encoder = Encoder(output, decoder, QUICK)
        assert not left.exists()
        encoder.abort()
    assert parts(tmp_path) == []


def test_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    foreign = tmp_path / ".out.0123abcd.part.mkv"
    foreign.write_bytes(b"of another result")
    with Decoder(source) as decoder:
        first, second = (Encoder(output, decoder, QUICK) for _ in range(2))
        remove_leftovers(output)
        assert len(parts(tmp_path)) == 3
        first.abort()
        remove_leftovers(output)
        assert len(parts(tmp_path)) == 2
        second.abort()
    assert parts(tmp_path) == [foreign]
