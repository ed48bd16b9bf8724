"""The folder that keeps the finished segments of a result, and the journal that lists them.

The first record of the journal describes the run. Each further record states that a segment is on
disk, or that joining has begun or ended. The journal survives crashes and power failures: each line
is a JSON object with its own checksum, and is on the disk before anything relies on it. An
incomplete or damaged line, and everything after it, counts as not written.
"""

import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crsr_video.config import Config
from crsr_video.errors import ConfigError, DeviceError, InputError, OutputError
from crsr_video.files import sync_folder
from crsr_video.io.output_file import check_output
from crsr_video.jobs.segments import compatibility, packets
from crsr_video.jobs.segments.planning import MAX_THREADS, Plan, Segment, plan
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.private_folder import PrivateFolder
from crsr_video.records import from_json, to_json
from crsr_video.runtime import loading

Record = dict[str, Any]


class SegmentJournal:
    """An append-only file of records.

    Args:
        folder: Folder of the file.
        name: Name of the file. If it exists, its records are read and a damaged end is cut off.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """

    def __init__(self, folder: PrivateFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self.records: list[Record] = []
        """All records that are safely on the disk."""
        self._read()

    def append(self, record: Record) -> None:
        """Add a record. It is on the disk when this method returns.

        Raises:
            OSError: The record cannot be written. In this case the journal is unchanged.
        """
        record = json.loads(json.dumps(record))  # As `_read` returns it: all keys are strings.
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        line = json.dumps({"check": _checksum(body), "record": record}, ensure_ascii=False)
        data = f"{line}\n".encode("utf-8", "surrogateescape")
        with self._folder.open(self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
        self.records.append(record)

    def _read(self) -> None:
        if not self._folder.holds(self._name):
            return
        valid_bytes = 0
        with self._folder.open(self._name, os.O_RDWR) as file:
            content = file.read()
            for line in io.BytesIO(content):
                record = _parse(line)
                if record is None:
                    break
                self.records.append(record)
                valid_bytes += len(line)
            if valid_bytes < len(content):
                file.truncate(valid_bytes)


def _parse(line: bytes) -> Record | None:
    """Return the record of a line, or None if the line is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line.decode("utf-8", "surrogateescape"))
        record: Record = entry["record"]
        if not isinstance(record, dict):
            return None
        body = json.dumps(record, ensure_ascii=False, sort_keys=True)
        return record if entry["check"] == _checksum(body) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode("utf-8", "surrogateescape"))


_FORMAT = 2
_JOURNAL = "journal.jsonl"
_SEGMENT = r"segment[0-9]{6,9}\.(nut|mov|mkv)"
_OWN_FILES = re.compile(rf"{_SEGMENT}|\.segment[0-9]{{6,9}}\.[0-9a-f]{{8}}\.part\.(nut|mov|mkv)")
"""Names of segments and of their unfinished versions. Apart from the journal, no other file is read
or removed."""
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
    """The stored work on one result. The caller must have locked the name of the result.

    Args:
        folder: The folder, which stays open for as long as this object is used.
        on_notice: Called with each notice for the user.
    """

    plan: Plan
    """The plan of the run. It is set by `open`."""

    def __init__(self, folder: PrivateFolder, on_notice: Callable[[str], None]) -> None:
        self._folder = folder
        self.results: dict[int, SegmentResult] = {}
        """Finished segments by number."""
        self.is_joined = False
        """Whether the result is complete under its final name."""
        self._on_notice = on_notice
        self._is_open = False

    @property
    def path(self) -> Path:
        """Path of the folder, for workers that write segments, and for FFmpeg."""
        self._folder.check_name()
        return self._folder.path

    @property
    def is_worthless(self) -> bool:
        """Whether there is nothing to resume."""
        return not self.results if self._is_open else not self._folder.holds(_JOURNAL)

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
        with self._blaming_journal():
            self._journal = SegmentJournal(self._folder, _JOURNAL)
        if any("segment" in record for record in self._journal.records):
            with self._blaming_journal():
                self.plan = self._resumed_plan(source, output, config)
                self._load_results()
        else:
            self.clear()
            check_output(output, source, config.job.overwrite)
            self._journal = SegmentJournal(self._folder, _JOURNAL)
            self.plan = self._new_plan(source, output, config, length)
        self._is_open = True
        self._remove_incomplete_files()

    def add(self, result: SegmentResult) -> None:
        """Record that a segment is on disk."""
        self._journal.append({"segment": to_json(result)})
        self.results[result.number] = result

    def begin_joining(self) -> None:
        """Record that, from now on, a file under the name of the result is the result."""
        self._journal.append(_JOINING)

    def end_joining(self) -> None:
        """Record that the result is complete under its final name."""
        self._journal.append(_JOINED)
        self.is_joined = True

    def clear(self) -> None:
        """Remove all files, with the journal last because it may record a complete result."""
        for name in self._files():
            self._folder.unlink(name)
        self._folder.unlink(_JOURNAL)

    def remove(self) -> None:
        """Remove all files, and the folder unless it contains something else."""
        self.clear()
        with suppress(OSError):
            self._folder.path.rmdir()

    @contextmanager
    def _blaming_journal(self) -> Iterator[None]:
        """Turn errors that only a damaged or forged journal can cause into OutputError."""
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ConfigError) as error:
            journal = self._folder.path / _JOURNAL
            raise OutputError(f"{journal}: is not valid; `restart` discards it") from error

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
        self._folder.sync()
        sync_folder(self._folder.path.parent)
        return new

    def _resumed_plan(self, source: Path, output: Path, config: Config) -> Plan:
        """Return the plan of the earlier run."""
        record = self._journal.records[0]
        prefix, advice = f"{self._folder.path}: contains work begun", "`restart` discards it"
        if record.get("format") != _FORMAT:
            raise OutputError(f"{prefix} by another version of crsr-video; {advice}")
        header = from_json(_Header, record)
        _check_header(header)
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
        """Load the results whose segment files match the journal."""
        records = [r["segment"] for r in self._journal.records if "segment" in r]
        found = {r.number: r for r in (from_json(SegmentResult, record) for record in records)}
        for result in found.values():
            _check_result(result, self.plan)
        if self._was_joined(found):
            self.results, self.is_joined = found, True
            return
        for number, result in found.items():
            if self._is_complete(result):
                self.results[number] = result
            else:
                self._on_notice(f"segment {number + 1} is damaged and is enhanced again")

    def _was_joined(self, found: dict[int, SegmentResult]) -> bool:
        """Return whether the earlier run was stopped after the result had its final name."""
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
        with suppress(OSError), self._folder.open(result.name) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell() == result.size and sha256 == result.sha256
        return False

    def _remove_incomplete_files(self) -> None:
        """Remove damaged segments, and those that a killed run was writing."""
        kept = {result.name for result in self.results.values()}
        for name in self._files():
            if name not in kept:
                self._folder.unlink(name)

    def _files(self) -> list[str]:
        """Return the names of all segments and of their unfinished versions."""
        return [name for name in self._folder.names() if _OWN_FILES.fullmatch(name)]


def _check_header(header: _Header) -> None:
    """Raise ValueError if no run could have written this header."""
    numbers = [segment.number for segment in header.segments]
    if numbers != list(range(len(numbers))) or not 1 <= header.threads <= MAX_THREADS:
        raise ValueError("impossible segments or threads")


def _check_result(result: SegmentResult, plan: Plan) -> None:
    """Raise ValueError if no worker could have returned this result."""
    if not 0 <= result.number < len(plan.segments):
        raise ValueError("unknown segment")
    frames = sum(count for count, _ in result.durations)
    if result.frames < 0 or frames != result.frames or not 0 <= result.delay <= result.frames:
        raise ValueError("impossible counts of frames")
    if any(count < 0 for count, _ in result.durations) or bool(result.frames) != bool(result.name):
        raise ValueError("impossible durations, or a segment without its file")
    own_name = rf"segment{result.number:06d}\.(nut|mov|mkv)"
    if result.name and not re.fullmatch(own_name, result.name):
        raise ValueError("a file that is not a segment of this run")
