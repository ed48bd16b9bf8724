"""Enhance every video of a folder: enhance_folder.py FOLDER RESULTS."""

import sys
from pathlib import Path

import crsr_video


def main(folder: str, results: str) -> None:
    """Enhance all MP4 files of `folder` into `results`; one that fails does not stop the rest."""
    Path(results).mkdir(parents=True, exist_ok=True)
    for source in sorted(Path(folder).glob("*.mp4")):
        output = Path(results) / source.name
        if output.exists():
            continue
        try:
            crsr_video.enhance(source, output)
        except crsr_video.CrsrError as error:
            print(f"{source}: {error}")
        else:
            print(f"{source} -> {output}")


if __name__ == "__main__":
    main(*sys.argv[1:])
