"""Enhance only the person who is seen longest: choose_people.py INPUT OUTPUT."""

import sys
from pathlib import Path

import crsr_video


def main(source: str, output: str) -> None:
    """Find the people in `source`, and enhance one of them."""
    tracks = Path(output).with_suffix(".tracks.json")
    analysis = crsr_video.analyse(source, tracks, overwrite=True)
    for person in analysis.people:
        print(f"person {person.id}: {person.frames} frames, {person.size:.0f} pixels wide")
    longest = max(analysis.people, key=lambda person: person.frames)
    crsr_video.enhance(source, output, tracks=tracks, only=longest.id, overwrite=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
