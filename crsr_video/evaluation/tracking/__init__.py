"""Evaluation of face tracking on drawn scenes.

Known faces move over backgrounds along known paths, so the place, the visible share and the ID of
every face are known in every frame.
"""
