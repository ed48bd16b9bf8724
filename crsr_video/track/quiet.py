"""Keep the model runtimes from chattering on the terminal.

While they load a model they write a hundred lines to the process's standard error from C++, past
`sys.stderr` and `logging`, and no variable or option of theirs turns that off. What goes wrong they
raise as well.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2


@contextmanager
def quiet() -> Iterator[None]:
    """Send standard error nowhere meanwhile: briefly, since it is the whole process's."""
    try:
        kept = os.dup(_STDERR)
    except OSError:
        yield  # there is none, as under a graphical launcher
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
