"""Recall of the tracker on a real clip, measured against a list of boxes.

The boxes may come from another detector or from a person. The list need not cover every frame.
"""

import csv
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking.drawing import Truth
from crsr_video.evaluation.tracking.running import SceneSettings, TrackingReport
from crsr_video.evaluation.tracking.scoring import is_usable, match_quality
from crsr_video.formatting import markdown_table
from crsr_video.io.reader import Reader
from crsr_video.track.tracker import Tracker
from crsr_video.types import Frame

_CLASSES = ((32.0, 64.0), (64.0, np.inf))
"""Ranges of box widths in pixels, excluding the upper bound."""
_NAMES = ("32 to 64 px", "64 px and more", "all")
_COLUMNS = ("frame", "x0", "y0", "x1", "y1")

Box = tuple[float, float, float, float]


def read_boxes(path: Path) -> dict[int, list[Box]]:
    """Return the boxes of a CSV file by frame number.

    Args:
        path: File with the columns frame, x0, y0, x1 and y1 in pixels of the stored frames. Frames
            are counted from 0.

    Raises:
        ConfigError: The file is not such a list.
    """
    boxes: dict[int, list[Box]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                frame, x0, y0, x1, y1 = (float(row[name]) for name in _COLUMNS)
                boxes[int(frame)].append((x0, y0, x1, y1))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        columns = ", ".join(_COLUMNS)
        raise ConfigError(f"{path} is not a list of boxes with the columns {columns}") from error
    return boxes


def measure(clip: Path, boxes_file: Path, settings: SceneSettings) -> TrackingReport:
    """Track the faces of a clip, and return how many of the listed faces were found.

    A listed face is found if a usable tracked face matches it as in `scoring`. Boxes narrower than
    32 pixels do not count.

    Raises:
        ConfigError: The file of boxes cannot be used, or lists a frame that the clip does not have.
    """
    boxes = read_boxes(boxes_file)
    due, found, unlisted, index = [0] * len(_CLASSES), [0] * len(_CLASSES), 0, -1
    missed: list[dict[str, object]] = []
    tracker = Tracker(lookahead=settings.lookahead, min_face=settings.min_face)
    with Reader(clip) as reader, tracker:
        frames = (item for item in reader if isinstance(item, Frame))
        for index, item in enumerate(tracker.process(islice(frames, settings.frames))):
            if index not in boxes:
                continue
            truths = [Truth(0, b, np.zeros((5, 2)), b[2] - b[0], 1.0, 1.0) for b in boxes[index]]
            matches = match_quality(truths, [face for face in item.faces if is_usable(face)]) > 0
            unlisted += int((~matches.any(0)).sum())
            for truth, row in zip(truths, matches, strict=True):
                kind = next((n for n, c in enumerate(_CLASSES) if c[0] <= truth.width < c[1]), None)
                if kind is None:
                    continue
                due[kind] += 1
                found[kind] += bool(row.any())
                if not row.any():
                    missed.append({"frame": index, "box": list(truth.box)})
    if settings.frames is None and max(boxes, default=0) > index:
        raise ConfigError(f"{boxes_file} lists frame {max(boxes)}, but {clip} has {index + 1}")
    counts = zip(_NAMES, (*found, sum(found)), (*due, sum(due)), strict=True)
    rows = [[name, f"{n}", f"{of}", f"{n / of:.3f}" if of else "-"] for name, n, of in counts]
    table = markdown_table(["box width", "found", "listed", "recall"], rows)
    data = {
        "clip": str(clip),
        "lookahead": settings.lookahead,
        "min_face": settings.min_face,
        "listed": dict(zip(_NAMES, (*due, sum(due)), strict=True)),
        "found": dict(zip(_NAMES, (*found, sum(found)), strict=True)),
        "unlisted": unlisted,
        "missed": missed,
    }
    return TrackingReport(f"{table}\ntracked faces that the list lacks: {unlisted}", data)
