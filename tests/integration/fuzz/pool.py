"""Worker processes for cases, which are replaced when they die or take too long."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.fuzz.mutations import damage
from tests.support.paths import ROOT

FINDINGS = (*("hang", "crash", "foreign", "leftover", "unreadable", "lost", "drift"),)
COMMAND = ("-W", "error", "-m", "tests.integration.fuzz.worker")
"""Of Python."""
STARTING = 300.0
"""Seconds that a worker has to import everything."""


@dataclass
class Case:
    """One damaged file, and its outcome."""

    number: int
    seed: str
    done: str
    verdict: dict[str, Any]


@dataclass
class Results:
    """Outcomes of a series of cases."""

    cases: list[Case] = field(default_factory=list)

    @property
    def findings(self) -> list[Case]:
        """Return the cases with outcomes that are bugs."""
        return [case for case in self.cases if case.verdict["outcome"] in FINDINGS]

    def outcomes(self) -> dict[str, Counter[str]]:
        """Return the numbers of outcomes by seed, and of all seeds."""
        table: dict[str, Counter[str]] = {}
        for case in self.cases:
            for row in (case.seed, "all"):
                table.setdefault(row, Counter())[case.verdict["outcome"]] += 1
        return table


class Worker:
    """One worker process. A thread reads its output, so that waiting for it can time out."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._start()

    def _start(self) -> None:
        path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        self._errors = self._log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        arguments = self._process.stdout, self._lines
        self._reader = threading.Thread(target=_read, args=arguments, daemon=True)
        self._reader.start()
        assert self._answer(STARTING) == "ready", self._log.read_text()

    def judge(self, path: Path, limit: float) -> dict[str, Any]:
        """Return the verdict on a file, and replace a worker that did not survive it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        begin = time.monotonic()
        answer = self._answer(limit)
        if answer is not None:
            return dict(answer)
        code = self._process.poll()
        self.close()
        words = self._log.read_text()[-1500:] if code is not None else f"over {limit:g} s"
        outcome = "hang" if code is None else "crash"
        self._start()
        seconds = time.monotonic() - begin
        return {"outcome": outcome, "words": f"{code}: {words}", "seconds": seconds, "quiet": False}

    def _answer(self, limit: float) -> Any:
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            return None
        if not line:
            self._process.wait()
            return None
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(BrokenPipeError):  # What was written to a process that had died.
                stream.close()


def _read(stream: Any, lines: "queue.Queue[str]") -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def run(
    seeds: dict[str, bytes],
    numbers: Iterable[int],
    folder: Path,
    *,
    seed: int = 0,
    jobs: int = 1,
    limit: float = 60.0,
    tell: Callable[[Case], None] = lambda _: None,
) -> Results:
    """Judge cases in several processes. Files with findings stay in `folder`."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)
    results = Results()

    def work(index: int) -> None:
        worker = Worker(folder / f"worker{index}.log")
        try:
            while True:
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    return
                case = run_one(worker, seeds, number, seed, folder, limit)
                results.cases.append(case)
                tell(case)
        finally:
            worker.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def run_one(
    worker: Worker, seeds: dict[str, bytes], number: int, seed: int, folder: Path, limit: float
) -> Case:
    """Judge one case, and remove its file unless there is a finding."""
    name, done, data = damage(seeds, number, seed)
    place = folder / f"case{number}"
    place.mkdir()
    path = place / name
    path.write_bytes(data)
    case = Case(number, name, done, worker.judge(path, limit))
    if case.verdict["outcome"] not in FINDINGS:
        shutil.rmtree(place)
    return case
