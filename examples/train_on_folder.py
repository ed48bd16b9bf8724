"""Train networks on a folder of face pictures: train_on_folder.py PICTURES RESULT [OPTION...].

Each sub-folder of PICTURES is one person. OPTIONS go to `crsr-video train joint`, such as
`--minutes 60`, which is the default.
"""

import subprocess
import sys
from pathlib import Path


def run(*words: str | Path) -> None:
    """Run a command of crsr-video, which has to succeed."""
    subprocess.run([sys.executable, "-m", "crsr_video", *map(str, words)], check=True)


def main(pictures: str, result: str, *options: str) -> None:
    """Pack the faces, train both networks on them, and write the weights into `result`."""
    pack = Path(result).with_suffix(".pack")
    folder = Path(result).with_suffix(".run")
    run("prepare", pictures, "-o", pack)
    run("train", "joint", pack, "-o", folder, *(options or ("--minutes", "60")))
    run("train", "export", folder, "-o", result)


if __name__ == "__main__":
    main(*sys.argv[1:])
