"""Enhance faces in VapourSynth.

    import crsr
    clip = crsr.Enhance(clip, strength=0.8)

Installed with crsr-video into the Python that VapourSynth runs in; needs no other plugin.
"""

from typing import Any

from crsr_video.plugins import vapoursynth

__all__ = ["Enhance"]


def Enhance(clip: Any, strength: float = 1.0, **options: Any) -> Any:  # noqa: N802 - as filters are named
    """Enhance the faces of a clip; everything else stays bit for bit.

    Args:    clip: YUV, RGB or grey, 8 to 16 bits an integer sample; the properties _Matrix, _Range,
             _ChromaLocation, _FieldBased, _SARNum and _SARDen are heeded.
             strength: 0 to 1.
             options: model="fast"|file, min_face=16, texture=0, device="auto", max_faces=3,
             tracks=file that ``crsr-video tracks`` wrote of the whole, uncut video; by its numbers
             only=[1, 4] and people={2: crsr_video.PersonSettings(strength=0.5)}; and
             warm_up=8, frames that are looked at before the one that a leap goes to.
    Returns: a clip of the same format and length.
    Raises:  crsr_video.errors.CrsrError: the format or an option cannot be met.
    """
    return vapoursynth.enhance(clip, strength=strength, **options)
