"""Inspect videos without enhancing them: find the faces, and compare a video with its copy.

`analysis` and `comparison` are the entry points. No neural network library is loaded.
"""
