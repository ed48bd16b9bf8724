"""Process-wide settings, which a command sets and restores."""

import gc
import os
import signal
import subprocess
import sys

import pytest

from crsr_video.cli import process
from tests.support.paths import ROOT
from tests.support.video import make_video


def test_a_command_restores_signals_and_collector():
    before = signal.getsignal(signal.SIGTERM), gc.get_threshold()
    with process.configured_process():
        assert gc.get_threshold() != before[1]
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), gc.get_threshold()) == before


def test_the_collector_runs_as_usual_once_everything_is_loaded():
    usual = gc.get_threshold()
    with process.configured_process():
        process.finish_loading()
        assert gc.get_threshold() == usual
    gc.unfreeze()


def test_a_signal_interrupts_the_command():
    with pytest.raises(process.Interrupted) as raised, process.configured_process():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert raised.value.number == signal.SIGTERM


def test_signals_can_be_handled_in_another_way():
    received = []
    with process.handled_signals(lambda number, _: received.append(number)):
        os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGINT]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_opened_on_the_null_device(closed, tmp_path):
    """Otherwise the next file that is opened receives the messages."""
    program, result = tmp_path / "program.py", tmp_path / "result"
    program.write_text(
        "import os, sys\n"
        "from crsr_video.cli import process\n"
        "with process.configured_process():\n"
        "    number = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
        "    os.write(number, str(number).encode())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"exec {sys.executable} {program} {result} {closed}"
    subprocess.run(["sh", "-c", command], check=True, env=environment)
    assert int(result.read_text()) > 2


@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps working directories")
def test_absolute_paths_work_in_a_deleted_working_directory(tmp_path):
    source, result, folder = make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4", tmp_path / "gone"
    folder.mkdir()
    program = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]);"
        f"sys.path[0] = {str(ROOT)!r};"
        "from crsr_video.cli import main; main(sys.argv[2:])"
    )
    command = [sys.executable, "-c", program, folder, "enhance", "--model", "identity"]
    done = subprocess.run([*command, source, "-o", result], capture_output=True, text=True)
    assert (done.returncode, result.exists()) == (0, True), done.stderr
    folder.mkdir()
    done = subprocess.run([*command, "a.mp4"], capture_output=True, text=True)
    assert "a.mp4: no such file" in done.stderr
