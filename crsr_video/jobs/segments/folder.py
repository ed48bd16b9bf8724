"""The folder in which a result's finished segments are kept, and the journal that says which.

Its first line says what is being made of what; each further one that a segment is on the disk, or
that joining has begun or ended.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crsr_video import pipeline
from crsr_video.config import Config
from crsr_video.errors import DeviceError, InputError, OutputError
from crsr_video.files import sync_folder
from crsr_video.io.output_file import check_output
from crsr_video.jobs.segments import facts, media
from crsr_video.jobs.segments.journal import Journal, Record
from crsr_video.jobs.segments.planning import Plan, Segment, plan, settled
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.jobs.segments.work import sha256

_FORMAT = 1
_JOURNAL = "journal.jsonl"
_JOINING: Record = {"joining": True}
_JOINED: Record = {"joined": True}


def work_folder(output: Path) -> Path:
    """Where the work on a result is kept until it is whole."""
    return output.with_name(f".{output.name}.resume")


class WorkFolder:
    """One run's work in its folder; the result's name must be held.

    Args: on_notice: called with lines that the user should read.
    """

    plan: Plan
    """After `open`."""

    def __init__(self, folder: Path, on_notice: Callable[[str], None]) -> None:
        self.path = folder
        self.results: dict[int, SegmentResult] = {}
        """Finished segments by number."""
        self.joined = False
        """The result has its name already."""
        self._tell = on_notice
        self._opened = False

    @property
    def worthless(self) -> bool:
        """There is nothing to go on with."""
        return not self.results if self._opened else not (self.path / _JOURNAL).exists()

    def open(self, source: Path, output: Path, config: Config, length: int | None) -> None:
        """Read the journal, or begin one.

        Args:   length: frames a segment; None: as is usual.
        Raises: OutputError: it is of another run, or the result may not be written.
        """
        if config.job.restart:
            self.clear()
        self._journal = Journal(self.path / _JOURNAL)
        if not any("segment" in record for record in self._journal.records):
            self.clear()
            check_output(output, source, config.job.overwrite)
            self._journal = Journal(self.path / _JOURNAL)
            self.plan = self._begun(source, output, config, length)
        else:
            self.plan = self._continued(source, output, config)
            self._take_finished()
        self._opened = True
        self._remove_strays()

    def add(self, result: SegmentResult) -> None:
        """Note that a segment's file is on the disk.

        Raises: OSError.
        """
        self._journal.append({"segment": result.as_json()})
        self.results[result.number] = result

    def begin_joining(self) -> None:
        """Note that a file under the result's name is from now on the result.

        Raises: OSError.
        """
        self._journal.append(_JOINING)

    def end_joining(self) -> None:
        """Note that the result has its name.

        Raises: OSError.
        """
        self._journal.append(_JOINED)
        self.joined = True

    def clear(self) -> None:
        """Remove all files; the journal last, for it says that the result is whole."""
        for path in self._files():
            path.unlink()
        (self.path / _JOURNAL).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all files, and the folder."""
        self.clear()
        with suppress(OSError):
            self.path.rmdir()

    def _begun(self, source: Path, output: Path, config: Config, length: int | None) -> Plan:
        new = plan(source, config, output, **({} if length is None else {"length": length}))
        self._journal.append(
            {
                "format": _FORMAT,
                "versions": new.versions,
                "facts": facts.facts(source, config, output),
                "device": new.config.networks.device,
                "precision": new.config.networks.precision,
                "plan": [new.threads, new.seek, new.begin, new.end],
                "segments": [[s.begin, s.end, s.warm, s.frames] for s in new.segments],
                "replaces": output.exists(),
            }
        )
        sync_folder(self.path)
        sync_folder(self.path.parent)
        return new

    def _continued(self, source: Path, output: Path, config: Config) -> Plan:
        """The plan that is being worked on.

        Raises: OutputError: it is another one.
        """
        header = self._journal.records[0]
        begin = f"{self.path}: holds work that was begun"
        if header.get("format") != _FORMAT:
            raise OutputError(f"{begin} by another version; --restart throws it away")
        versions = facts.versions(config)
        differs = facts.difference(header["versions"], versions)
        differs = differs or facts.difference(header["facts"], facts.facts(source, config, output))
        if differs is not None:
            raise OutputError(f"{begin} with {differs}; --restart throws it away")
        segments = tuple(Segment(i, *values) for i, values in enumerate(header["segments"]))
        chosen = settled(config, header["device"], header["precision"])
        _check_precision(chosen, begin)
        threads, seek, first, end = header["plan"]
        return Plan(source, output, chosen, threads, seek, first, end, segments, versions)

    def _take_finished(self) -> None:
        """Keep the segments whose files are what the journal says."""
        told = [r["segment"] for r in self._journal.records if "segment" in r]
        found = {result.number: result for result in map(SegmentResult.from_json, told)}
        if self._is_joined(found):
            self.results, self.joined = found, True
            return
        for number, result in found.items():
            if self._is_whole(result):
                self.results[number] = result
            else:
                self._tell(f"segment {number + 1} is damaged and is done again")

    def _is_joined(self, found: dict[int, SegmentResult]) -> bool:
        """Whether the last run was stopped after the result had got its name."""
        records, output = self._journal.records, self.plan.output
        if len(found) < len(self.plan.segments) or not output.exists():
            return False
        if _JOINED in records:
            return True
        if _JOINING not in records or records[0]["replaces"]:
            return False
        with suppress(InputError):
            return media.count(output) == sum(result.frames for result in found.values())
        return False

    def _is_whole(self, result: SegmentResult) -> bool:
        if not result.name:
            return True
        path = self.path / result.name
        with suppress(OSError):
            return path.stat().st_size == result.size and sha256(path) == result.sha256
        return False

    def _remove_strays(self) -> None:
        """Half-written segments of a run that was killed, and damaged ones."""
        kept = {result.name for result in self.results.values()}
        for path in self._files():
            if path.name not in kept:
                path.unlink()

    def _files(self) -> list[Path]:
        """Everything in the folder but the journal."""
        with suppress(FileNotFoundError):
            return [p for p in self.path.iterdir() if p.name != _JOURNAL]
        return []


def _check_precision(chosen: Config, begin: str) -> None:
    """See that what is left will be computed as what is there was.

    Args:   chosen: with the device and the precision of the journal.
    Raises: OutputError: it cannot be.
    """
    told = f"{begin} in {chosen.networks.precision} on {chosen.networks.device}"
    try:
        now = pipeline.placed(chosen).precision
    except DeviceError as error:
        raise OutputError(f"{told}, but {error}; --restart throws it away") from error
    if now != chosen.networks.precision:
        raise OutputError(f"{told} (now {now}); --restart throws it away")
