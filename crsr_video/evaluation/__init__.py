"""How good the networks are, in figures and to the eye; never imported by inference.

One command: ``python -m crsr_video.evaluation WEIGHTS --data PREPARED``.
"""
