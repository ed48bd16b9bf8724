"""Where the checkout and its sample clips are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "clips"
SHARED = ROOT.parent / "shared"
"""Development data beside the checkout; tests that use it are skipped where it is absent."""
