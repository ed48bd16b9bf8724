"""How much of the head pictures show: ours, and that of other data."""

from crsr_video.training.genuine import NPZ_FRAME, Framing

CANONICAL = Framing(scale=1.0, dy=0.0)
"""The whole canonical crop."""

FRAMINGS = {"canonical": CANONICAL, "wider": NPZ_FRAME}
"""By the names that commands use."""
