"""The folder that keeps the finished segments of a result, and the journal that lists them.

The first record of the journal describes the run. Each further record says that a segment is on the
disk, or that joining has begun or ended.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from crsr_video.config import Config
from crsr_video.errors import DeviceError, InputError, OutputError
from crsr_video.files import sha256_of_file, sync_folder
from crsr_video.io.output_file import check_output
from crsr_video.jobs.segments import compatibility, packets
from crsr_video.jobs.segments.journal import Journal, Record
from crsr_video.jobs.segments.planning import Plan, Segment, plan
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.records import from_json, to_json
from crsr_video.runtime import loading

_FORMAT = 2
_JOURNAL = "journal.jsonl"
_JOINING: Record = {"joining": True}
_JOINED: Record = {"joined": True}


@dataclass(frozen=True, slots=True)
class _Header:
    """The first record of a journal."""

    format: int
    versions: dict[str, str]
    settings: dict[str, str]
    device: str
    precision: str
    threads: int
    can_seek: bool
    begin: int | None
    end: int | None
    segments: tuple[Segment, ...]
    replaces: bool
    """Whether a file existed under the name of the result."""


def work_folder_of(output: Path) -> Path:
    """Return the folder that keeps the work on a result until the result is complete."""
    return output.with_name(f".{output.name}.resume")


class WorkFolder:
    """The work on one result. The name of the result must be locked.

    Args:
        folder: The folder.
        on_notice: Called with each notice for the user.
    """

    plan: Plan
    """The plan of the run, after `open`."""

    def __init__(self, folder: Path, on_notice: Callable[[str], None]) -> None:
        self.path = folder
        self.results: dict[int, SegmentResult] = {}
        """Finished segments by number."""
        self.is_joined = False
        """Whether the result already has its name."""
        self._on_notice = on_notice
        self._is_open = False

    @property
    def is_worthless(self) -> bool:
        """Whether there is nothing to resume."""
        return not self.results if self._is_open else not (self.path / _JOURNAL).exists()

    def open(self, source: Path, output: Path, config: Config, length: int | None = None) -> None:
        """Read the journal, or begin a new one.

        Args:
            source: Source of the run.
            output: Result of the run.
            config: Settings of the run.
            length: Approximate number of frames in a new run's segments; see `plan`.

        Raises:
            OutputError: The work belongs to another run, or the result cannot be written.
        """
        if config.job.restart:
            self.clear()
        self._journal = Journal(self.path / _JOURNAL)
        if any("segment" in record for record in self._journal.records):
            self.plan = self._resumed_plan(source, output, config)
            self._load_results()
        else:
            self.clear()
            check_output(output, source, config.job.overwrite)
            self._journal = Journal(self.path / _JOURNAL)
            self.plan = self._new_plan(source, output, config, length)
        self._is_open = True
        self._remove_incomplete_files()

    def add(self, result: SegmentResult) -> None:
        """Note that a segment is on the disk.

        Raises:
            OSError: The journal cannot be written.
        """
        self._journal.append({"segment": to_json(result)})
        self.results[result.number] = result

    def begin_joining(self) -> None:
        """Note that a file under the name of the result is the result from now on.

        Raises:
            OSError: The journal cannot be written.
        """
        self._journal.append(_JOINING)

    def end_joining(self) -> None:
        """Note that the result has its name.

        Raises:
            OSError: The journal cannot be written.
        """
        self._journal.append(_JOINED)
        self.is_joined = True

    def clear(self) -> None:
        """Remove all files, the journal last because it says that the result is complete."""
        for path in self._files():
            path.unlink()
        (self.path / _JOURNAL).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder with all its files."""
        self.clear()
        with suppress(OSError):
            self.path.rmdir()

    def _new_plan(self, source: Path, output: Path, config: Config, length: int | None) -> Plan:
        new = plan(source, config, output, length=length)
        networks = new.config.networks
        header = _Header(
            format=_FORMAT,
            versions=new.versions,
            settings=compatibility.settings(source, config, output),
            device=networks.device,
            precision=networks.precision,
            threads=new.threads,
            can_seek=new.can_seek,
            begin=new.begin,
            end=new.end,
            segments=new.segments,
            replaces=output.exists(),
        )
        self._journal.append(to_json(header))
        sync_folder(self.path)
        sync_folder(self.path.parent)
        return new

    def _resumed_plan(self, source: Path, output: Path, config: Config) -> Plan:
        """Return the plan of the earlier run.

        Raises:
            OutputError: Its result would differ from that of this run.
        """
        record = self._journal.records[0]
        prefix, advice = f"{self.path}: contains work begun", "--restart discards it"
        if record.get("format") != _FORMAT:
            raise OutputError(f"{prefix} by another version of crsr-video; {advice}")
        header = from_json(_Header, record)
        versions = compatibility.versions(config)
        difference = compatibility.first_difference(header.versions, versions)
        if difference is None:
            settings = compatibility.settings(source, config, output)
            difference = compatibility.first_difference(header.settings, settings)
        if difference is not None:
            raise OutputError(f"{prefix} with {difference}; {advice}")
        fixed = config.with_options(device=header.device, precision=header.precision)
        prefix = f"{prefix} in {header.precision} on {header.device}"
        try:
            now = loading.resolve_placement(fixed).precision
        except DeviceError as error:
            raise OutputError(f"{prefix}, but {error}; {advice}") from error
        if now != header.precision:
            raise OutputError(f"{prefix} (now {now}); {advice}")
        return Plan(
            source,
            output,
            fixed,
            header.threads,
            header.can_seek,
            header.begin,
            header.end,
            header.segments,
            versions,
        )

    def _load_results(self) -> None:
        """Keep the segments whose files are as the journal says."""
        records = [r["segment"] for r in self._journal.records if "segment" in r]
        found = {r.number: r for r in (from_json(SegmentResult, record) for record in records)}
        if self._was_joined(found):
            self.results, self.is_joined = found, True
            return
        for number, result in found.items():
            if self._is_complete(result):
                self.results[number] = result
            else:
                self._on_notice(f"segment {number + 1} is damaged and is enhanced again")

    def _was_joined(self, found: dict[int, SegmentResult]) -> bool:
        """Return whether the earlier run was stopped after the result had got its name."""
        records, output = self._journal.records, self.plan.output
        if len(found) < len(self.plan.segments) or not output.exists():
            return False
        if _JOINED in records:
            return True
        if _JOINING not in records or records[0]["replaces"]:
            return False
        with suppress(InputError):
            return packets.count(output) == sum(result.frames for result in found.values())
        return False

    def _is_complete(self, result: SegmentResult) -> bool:
        if not result.name:
            return True
        path = self.path / result.name
        with suppress(OSError):
            return path.stat().st_size == result.size and sha256_of_file(path) == result.sha256
        return False

    def _remove_incomplete_files(self) -> None:
        """Remove damaged segments, and those that a killed run was writing."""
        kept = {result.name for result in self.results.values()}
        for path in self._files():
            if path.name not in kept:
                path.unlink()

    def _files(self) -> list[Path]:
        """Return all files in the folder except the journal."""
        with suppress(FileNotFoundError):
            return [p for p in self.path.iterdir() if p.name != _JOURNAL]
        return []
