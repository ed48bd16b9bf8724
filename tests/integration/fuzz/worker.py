"""Process that judges files: it reads a path per line, and writes a verdict per line."""

import faulthandler
import json
import os
import resource
import sys
from pathlib import Path

MEMORY = 10 << 30
"""Bytes of address space; what asks for more is refused it, and the machine stays usable."""


def main() -> None:
    """Serve until the input ends. A crash prints its traceback to standard error."""
    faulthandler.enable()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from tests.integration.fuzz import judge

    judge.prepare()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(judge.judge(Path(line.rstrip("\n")))), flush=True)


if __name__ == "__main__":
    main()
