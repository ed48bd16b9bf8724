"""Everything behind the API: files, people, previews and exports."""

import gc
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crsr_video import weights
from crsr_video.errors import ConfigError, CrsrError
from crsr_video.io.reader import Reader
from crsr_video.private_folder import PrivateFolder
from crsr_video.studio.command import CommandRun
from crsr_video.studio.events import Events
from crsr_video.studio.jobs import JobQueue
from crsr_video.studio.library import Item, Library
from crsr_video.studio.models import LoadedNetworks
from crsr_video.studio.people import PeopleSearch
from crsr_video.studio.settings import (
    Export,
    StudioSettings,
    command_line,
    enhance_options,
    format_named,
)
from crsr_video.studio.single_frames import SingleFrames
from crsr_video.studio.sources import OpenedFile, Thumbnails

_SAMPLE_SECONDS = 2.0
"""Length of the sample from which time and size of an export are estimated."""
_FACTS = 2000
"""Maximum number of files whose properties are kept in memory."""


class Workspace:
    """The state and the operations of one studio.

    Args:
        folders: Folders that the user named.
        files: Files that the user named.
        work_folder: Where uploads, tracks and the queue are kept.
        parallel: Exports that may run at a time.
        on_loaded: Called from another thread when the networks of the preview are loaded.
        release_memory: Called now and then after files were closed.
    """

    def __init__(
        self,
        folders: tuple[Path, ...],
        files: tuple[Path, ...],
        work_folder: Path,
        *,
        parallel: int = 1,
        on_loaded: Callable[[], None] = lambda: None,
        release_memory: Callable[[], object] = gc.collect,
    ) -> None:
        self._on_loaded = on_loaded
        work_folder.parent.mkdir(parents=True, exist_ok=True)
        with PrivateFolder(work_folder):
            pass  # The list of jobs in it holds commands, so nobody else may have written it.
        self.events = Events()
        self.library = Library(folders, files, work_folder)
        self.loaded = LoadedNetworks()
        self._frames = SingleFrames(self.loaded, release_memory=release_memory)
        self._thumbnails = Thumbnails()
        self.people = PeopleSearch(work_folder / "tracks", self.events)
        self._reports = work_folder / "reports"
        self._reports.mkdir(exist_ok=True)
        self._facts: dict[tuple[str, int], dict[str, Any]] = {}
        self.jobs = JobQueue(
            work_folder / "jobs.json",
            on_change=lambda facts: self.events.publish("jobs", facts),
            on_done=self.library.add_result,
            on_problem=self._report,
            parallel=parallel,
        )

    def start(self) -> None:
        """Continue the exports of an earlier studio, and load the networks in the background."""
        self.jobs.start()
        threading.Thread(target=self._load, name="studio-load", daemon=True).start()

    def begin_closing(self) -> None:
        """End the streams of events, and ask exports to stop, so that the server can stop soon."""
        self.events.close()
        self.jobs.begin_closing()

    def close(self) -> None:
        """Stop exports and searches. The next studio continues the exports."""
        self.begin_closing()
        self._thumbnails.close()
        self._frames.close()
        self.jobs.close()
        self.people.close()

    # Files ----------------------------------------------------------------------------------------

    def models(self) -> list[str]:
        """Return the names of the shipped weights."""
        return [shipped.name for shipped in weights.shipped()]

    def list_files(self) -> list[dict[str, Any]]:
        """Return name and size of each file."""
        found = []
        for item in self.library.items():
            size = item.path.stat().st_size
            found.append({"id": item.id, "name": item.name, "kind": item.kind, "bytes": size})
        return found

    def file_facts(self, file_id: str) -> dict[str, Any]:
        """Return the properties of a file."""
        item = self.library.item(file_id)
        key = (item.id, item.path.stat().st_mtime_ns)
        if key not in self._facts:
            if len(self._facts) >= _FACTS:
                self._facts.clear()
            self._facts[key] = _read_facts(item)
        return self._facts[key]

    def thumbnail(self, file_id: str, at: float, width: int) -> bytes:
        """Return a small JPEG of the frame at a time."""
        return self._thumbnails.get(self.library.item(file_id).path, at, width)

    def source(self, file_id: str, job_id: str = "") -> OpenedFile:
        """Return a file with what is known of its people.

        Args:
            file_id: ID of the file.
            job_id: Export whose result is shown as the picture after; empty for a preview.
        """
        item = self.library.item(file_id)
        if job_id:
            job = self.jobs.job(job_id)
            result = self.library.item(job.result_file)
            return OpenedFile(item.path, result=result.path, result_start=job.start)
        people = self.people.people(item)
        return OpenedFile(item.path, self.people.tracks(item) if people else None, people)

    def frame(
        self, file_id: str, settings: StudioSettings, at: float, width: int, job_id: str = ""
    ) -> bytes:
        """Return a packet with one frame before and after; see `source`."""
        source, fps = self.source(file_id, job_id), self.file_facts(file_id)["fps"]
        return self._frames.show(source, settings, at, width, fps=fps)

    # Exports --------------------------------------------------------------------------------------

    def command(self, export: Export) -> dict[str, Any]:
        """Return the command line of an export, and where its result would be written.

        The command names the files of one folder, and begins by changing to it. The user knows
        best where the original of an upload is, so its command is for the folder of that.
        """
        item = self.library.item(export.file)
        output, folder = self._output(export, item), item.path.parent
        is_beside = output.parent in (folder, self.library.results_folder)
        name = Path(item.name).name
        words = ["crsr-video", "enhance", name if name[0] != "-" else f"./{name}"]
        words += ["-o", output.name if is_beside else str(output)]
        tracks, is_saved = None, False
        if self.people.tracks(item).is_file():
            tracks, is_saved = self.people.copy_beside(item)
        options = self._options(export, item, tracks and Path(tracks.name))
        if tracks is None or tracks.name not in options:
            tracks = None
        line = command_line([*words, *options])
        return {
            "command": line if item.uploaded else f"cd {command_line([str(folder)])} && {line}",
            "output": str(output),
            "tracks": tracks.name if tracks else "",
            "tracks_are_saved": is_saved and not item.uploaded,
        }

    def add_job(self, export: Export) -> dict[str, Any]:
        """Add an export to the queue, and return its facts."""
        item = self.library.item(export.file)
        output = self._output(export, item)
        if not self.library.may_write(output):
            raise ConfigError(f"{output.parent}: results go into the folder of the source")
        if not output.parent.is_dir():
            raise ConfigError(f"{output.parent}: there is no such folder")
        if output.exists():
            raise ConfigError(f"{output} exists already: choose another name")
        options = self._options(export, item)
        resumable = item.kind == "video"
        job = self.jobs.add(
            item.path,
            item.name,
            item.id,
            output,
            options,
            resumable=resumable,
            reports=self._reports,
            start=export.start,
        )
        return job.facts()

    def estimate(self, export: Export) -> dict[str, float]:
        """Estimate the seconds and bytes that an export will take, from a sample of its frames."""
        item = self.library.item(export.file)
        facts = self.file_facts(export.file)
        end = min(export.end or facts["duration"], facts["duration"])
        length = max(0.001, end - export.start)
        sample = min(_SAMPLE_SECONDS, length)
        part = export.model_copy(
            update={"start": export.start + (length - sample) / 2, "end": None}
        )
        options = self._options(part, item)
        suffix = self._output(export, item).suffix
        with tempfile.TemporaryDirectory(prefix="crsr-studio-") as folder:
            output = Path(folder) / f"sample{suffix}"
            words = ["enhance", str(item.path), "-o", str(output), *options, "--json"]
            if item.kind == "video":
                words += ["--duration", f"{sample:.3f}"]
            summary: dict[str, Any] = {}
            failure: list[str] = []
            began = time.monotonic()
            run = CommandRun(
                words,
                on_event=lambda e: summary.update(e) if e.get("event") == "summary" else None,
                on_end=lambda _, error: failure.append(error),
            )
            run.finish()
            if failure and failure[0]:
                raise ConfigError(failure[0])
            startup = float(summary.get("startup_seconds", 0.0))
            running = max(0.05, time.monotonic() - began - startup)
            share = length / sample
            return {
                "seconds": startup + running * share,
                "bytes": output.stat().st_size * share,
                "source_bytes": float(item.path.stat().st_size),
            }

    def reveal(self, job_id: str) -> None:
        """Open the folder of a result in the desktop's file manager."""
        folder = Path(self.jobs.job(job_id).output).parent
        opener = {"darwin": "open", "win32": "explorer"}.get(sys.platform, "xdg-open")
        if shutil.which(opener) is None:
            raise ConfigError(f"the result is in {folder}")
        subprocess.Popen(
            [opener, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    # Inside ---------------------------------------------------------------------------------------

    def _load(self) -> None:
        try:
            self._frames.prepare()
        except CrsrError as error:
            self._report(str(error))
        self._on_loaded()

    def _options(self, export: Export, item: Item, tracks: Path | None = None) -> list[str]:
        """Return the options of an export.

        Args:
            export: The export.
            item: Its source.
            tracks: Path of the tracks in the options. Defaults to that of the studio's own file.
        """
        people = self.people.people(item)
        path = tracks or (self.people.tracks(item) if people else None)
        duration = self.file_facts(item.id)["duration"]
        return enhance_options(export, people, path, duration, is_image=item.kind == "image")

    def _output(self, export: Export, item: Item) -> Path:
        if export.output:
            path = Path(export.output).expanduser()
            if not path.is_absolute():
                path = self.library.default_output(item, "").parent / path
            return path
        suffix = format_named(export.format).suffix if item.kind == "video" else None
        return self.library.default_output(
            item, suffix or item.path.suffix, lambda path: path.exists() or self.jobs.writes(path)
        )

    def _report(self, problem: str) -> None:
        self.events.publish("problem", {"error": problem})


def _read_facts(item: Item) -> dict[str, Any]:
    with Reader(item.path) as reader:
        info, first = reader.info, reader.source.first
        upright = first.rotation % 180 != 0
        rate = float(info.rate or 25)
        duration = info.seconds or (info.frames / rate if info.frames else 1 / rate)
        return {
            "id": item.id,
            "name": item.name,
            "kind": item.kind,
            "bytes": item.path.stat().st_size,
            "width": info.height if upright else info.width,
            "height": info.width if upright else info.height,
            "fps": rate,
            "frames": info.frames or max(1, round(duration * rate)),
            "duration": duration,
            "codec": info.codec,
            "pixel_format": info.pixel_format,
            "uploaded": item.uploaded,
        }
