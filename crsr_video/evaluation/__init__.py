"""Evaluation of the networks and of face tracking. Inference never imports it.

The commands are ``crsr-video evaluate`` and ``crsr-video evaluate-tracking``.
"""
