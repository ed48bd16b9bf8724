"""Analysis on its own: who is in a video, where and when; nothing is enhanced, no network loaded.

analyse     a video to a tracks file, an overlay video, a sheet of persons    run.py
Portraits   the best picture of each person                                   portraits.py
Overlay     frames with faces drawn in                                        overlay.py
"""

from crsr_video.analysis.run import Analysis, analyse

__all__ = ["Analysis", "analyse"]
