"""Framings: the part of the head that pictures show, in our crops and in other data."""

from crsr_video.training.genuine import NPZ_FRAME, Framing

CANONICAL = Framing(scale=1.0, dy=0.0)
"""The whole canonical crop."""

FRAMINGS = {"canonical": CANONICAL, "wider": NPZ_FRAME}
"""Framings by the names on the command line."""
