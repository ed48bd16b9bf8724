"""A page in the browser that shows a live run: frames before and after, and statistics.

Only this machine can open it. Pictures are made only while somebody watches.
"""

from crsr_video.live.preview.preview import Preview

__all__ = ["Preview"]
