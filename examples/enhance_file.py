"""Enhance one file, with progress and a summary: enhance_file.py INPUT OUTPUT."""

import sys

import crsr_video


def main(source: str, output: str) -> None:
    """Enhance `source` into `output`."""

    def show(progress: crsr_video.Progress) -> None:
        print(f"\r{progress.frames} of {progress.total} frames", end="", file=sys.stderr)

    summary = crsr_video.enhance(source, output, strength=0.9, overwrite=True, on_progress=show)
    print(f"\n{summary.statistics.frames} frames at {summary.fps:.1f} frames per second")


if __name__ == "__main__":
    main(*sys.argv[1:])
