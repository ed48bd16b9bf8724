"""A page in the browser on which a live run can be watched: before and after, and how it keeps up.

Only this machine can open it. Nothing is made that nobody looks at.
"""

from crsr_video.live.preview.preview import Preview

__all__ = ["Preview"]
