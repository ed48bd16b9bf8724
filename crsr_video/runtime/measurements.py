"""Measurements of this machine that are made once and then kept in the user's cache.

Timings on a busy machine vary from run to run, and so would pictures that depend on them. Each
measurement is kept in one small file. If the file is damaged, the measurement is repeated. If two
processes measure at the same time, both use the result that was written first.
"""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crsr_video.files import cache_folder, open_regular, write_file


def folder() -> Path:
    """Return the folder of the measurements."""
    return cache_folder("measured")


def measured_once(
    question: str, subject: str, count: int, measure: Callable[[], list[float]]
) -> list[float]:
    """Return the stored result of a measurement, or measure now if there is none.

    No error is raised if the cache cannot be written.

    Args:
        question: Name of the measurement, one word.
        subject: Everything that the result depends on, such as the device and versions.
        count: Number of values in a result.
        measure: Function that makes the measurement.
    """
    path = folder() / f"{question}-{hashlib.sha256(subject.encode()).hexdigest()[:16]}.json"
    known = _read(path, subject, count)
    if known is not None:
        return known
    answer = measure()
    text = json.dumps({"subject": subject, "answer": answer})
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_file(path, [text.encode()], keep_existing=True)
        except FileExistsError:
            if _read(path, subject, count) is None:
                write_file(path, [text.encode()])
    return _read(path, subject, count) or answer


def _read(path: Path, subject: str, count: int) -> list[float] | None:
    try:
        with open_regular(path) as file:
            content = json.loads(file.read())
        answer = [float(number) for number in content["answer"]]
        complete = content["subject"] == subject and len(answer) == count
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        return None
    return answer if complete and all(map(math.isfinite, answer)) else None
