"""How good the networks are, in figures and to the eye; never imported by inference.

One command: ``crsr-video evaluate MODEL... --data PREPARED``.
"""
