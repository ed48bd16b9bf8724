"""What was measured once on a machine, and must not be measured again with another outcome.

One small file for each question, in the user's cache. Whoever finds it damaged measures anew; of
two that measure at the same time, both go by what the first has written.
"""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crsr_video.files import cache_folder, write_file


def folder() -> Path:
    """Return the folder of the measurements."""
    return cache_folder("measured")


def remembered(
    question: str, subject: str, count: int, measure: Callable[[], list[float]]
) -> list[float]:
    """The answer of the first time, or of this time if there was none.

    It is no error if nothing can be kept.
    Args: question: what is measured, a word.
          subject: all that the answer depends on: device, versions.
          count: how many numbers make an answer.
          measure: makes one.
    """
    path = folder() / f"{question}-{hashlib.sha256(subject.encode()).hexdigest()[:16]}.json"
    known = _read(path, subject, count)
    if known is not None:
        return known
    answer = measure()
    text = json.dumps({"subject": subject, "answer": answer})
    _write(path, text, lambda: _read(path, subject, count) is not None)
    return _read(path, subject, count) or answer


def _read(path: Path, subject: str, count: int) -> list[float] | None:
    """The answer, if the file is there and whole."""
    try:
        content = json.loads(path.read_bytes())
        answer = [float(number) for number in content["answer"]]
        whole = content["subject"] == subject and len(answer) == count
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        return None
    return answer if whole and all(map(math.isfinite, answer)) else None


def _write(path: Path, text: str, whole: Callable[[], bool]) -> None:
    """Unless another was faster, or nothing can be written here."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_file(path, [text.encode()], keep_existing=True)
        except FileExistsError:
            if not whole():
                write_file(path, [text.encode()])
