"""Tracking against exact truth: scenes are drawn, tracked and judged.

Known faces move over backgrounds along known paths, so that where each is, how much of it is to be
seen, and who is who is known in every frame.
"""
