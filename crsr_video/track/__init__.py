"""Find the faces of a video and follow them from frame to frame.

Importing this package loads nothing: `face_models` and `tracks_file` are used by commands that run
no detector.
"""
