"""Measurements of this machine that are made once and then kept in the user's cache.

What a stopwatch says on a busy machine changes from run to run, and so would the pictures that
depend on it. There is one small file for each measurement. A damaged file is measured again; of two
processes that measure at the same time, both use what the first has written.
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
    """Return the kept result of a measurement; measure now if there is none.

    A cache that cannot be written is no error.

    Args:
        question: What is measured, one word.
        subject: Everything that the result depends on: device, versions.
        count: Number of values in a result.
        measure: Makes the measurement.
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
    """Return the kept values, or None if the file is missing or damaged."""
    try:
        with open_regular(path) as file:
            content = json.loads(file.read())
        answer = [float(number) for number in content["answer"]]
        complete = content["subject"] == subject and len(answer) == count
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        return None
    return answer if complete and all(map(math.isfinite, answer)) else None
