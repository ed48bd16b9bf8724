"""Evaluation of the networks and of face tracking. Inference never imports it.

The commands are ``crsr-video evaluate``, ``evaluate-results``, ``evaluate-tracking`` and
``evaluate-paper``.
"""
