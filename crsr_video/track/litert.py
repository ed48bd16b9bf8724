"""MediaPipe's models, run on LiteRT, the runtime that MediaPipe itself uses.

LiteRT gives the same results as MediaPipe's Tasks API in a third of the time, and can run a model
on any part of a picture.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import FaceModelError
from crsr_video.track import face_models
from crsr_video.types import FloatPicture


class LiteRtModel:
    """A loaded model with one square picture as its input.

    LiteRT writes one line about its CPU kernels to file descriptor 2 when a process loads its
    first model. See `prepare_process`.
    """

    def __init__(self, path: Path) -> None:
        """Load a model file.

        Raises:
            FaceModelError: The file cannot be run.
        """
        from ai_edge_litert.interpreter import Interpreter

        try:
            # Two threads are slower than one here, and the pipeline works on frames in parallel.
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise FaceModelError(f"the face model {path.name} cannot be run: {error}") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {
            tuple(map(int, detail["shape"])): int(detail["index"])
            for detail in self._interpreter.get_output_details()
        }
        self.runs = 0
        """Number of times that the model was run."""

    @property
    def output_shapes(self) -> frozenset[tuple[int, ...]]:
        """Shapes of the outputs. Each output has a different shape, which identifies it."""
        return frozenset(self._outputs)

    def run(self, pixels: FloatPicture) -> None:
        """Run the model on a picture of its input size."""
        self._interpreter.set_tensor(self._input, pixels[None])
        self._interpreter.invoke()
        self.runs += 1

    def output(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return a copy of the output with this shape from the latest run."""
        values: NDArray[np.float32] = self._interpreter.get_tensor(self._outputs[shape])
        return values

    def close(self) -> None:
        """Free the model. It cannot be run afterwards."""
        self._interpreter = None


def prepare_process(*, fetch: bool = True) -> None:
    """Fetch missing face models, and start LiteRT without its message on the terminal.

    When a process loads its first model, LiteRT writes "INFO: Created TensorFlow Lite XNNPACK
    delegate for CPU." from C++, and no variable or option turns that off. This function therefore
    silences file descriptor 2 of the whole process for a moment. Only the entry point of a process
    may call it: a command, or a worker process that crsr-video started.

    Args:
        fetch: Whether missing models may be downloaded.
    """
    paths = face_models.resolve_all(fetch=fetch)
    with _standard_error_silenced():
        LiteRtModel(paths[0]).close()


@contextmanager
def _standard_error_silenced() -> Iterator[None]:
    stderr = 2
    try:
        kept = os.dup(stderr)
    except OSError:
        yield  # There is no standard error, as under a graphical launcher.
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stderr)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, stderr)
        os.close(kept)
