"""Runs the command line in child processes, whose crashes do not harm the studio."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

PROGRAM = (sys.executable, "-m", "crsr_video")
_STOP_SECONDS = 3.0
"""Time that a run has to end by itself. Killing it loses little: exports are resumable."""


class CommandRun:
    """One run of ``crsr-video``, whose JSON events are passed to a function.

    Args:
        words: Command and options, without the program's own name.
        on_event: Called with each event, from a thread of this object.
        on_end: Called once with the exit code and an error message, which is empty on success.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_end: Callable[[int, str], None],
    ) -> None:
        self._on_event, self._on_end = on_event, on_end
        self._error = ""
        self._stderr = tempfile.TemporaryFile(  # noqa: SIM115 - closed by the reading thread
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=os.name == "posix",
        )
        self._thread = threading.Thread(target=self._read, name="studio-command", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the run to stop, as Ctrl-C does. The run leaves no incomplete files."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)

    def finish(self) -> None:
        """Wait until the run has ended by itself and `on_end` was called."""
        self._thread.join()

    def wait(self) -> None:
        """Wait until `on_end` was called. Kill the run if it does not end in time."""
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            self._kill()
            self._thread.join()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)  # This includes its child processes.

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if event.get("event") == "error":
                    self._error = str(event.get("message", ""))
                self._on_event(event)
        code = self._process.wait()
        self._on_end(code, self._message(code))

    def _message(self, code: int) -> str:
        """Return why the run failed, or an empty text. Exit code 3 means success with damage."""
        with self._stderr as file:
            file.seek(0)
            last = next((line for line in reversed(file.read().splitlines()) if line.strip()), "")
        if code in (0, 3):
            return ""
        if self._error:
            return self._error
        if code < 0:
            return f"the program was ended by {signal.Signals(-code).name}"
        return (
            last.removeprefix("crsr-video: error: ") or f"the program ended with exit code {code}"
        )
