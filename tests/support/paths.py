"""Where the checkout and its sample clips are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "clips"
PORTRAIT = CLIPS / "portrait.mp4"
"""Three seconds of one face, 640x360, with sound."""
SHARED = ROOT.parent / "shared"
"""Development data beside the checkout; tests that use it are skipped where it is absent."""
