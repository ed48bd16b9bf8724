"""Enhance faces in VapourSynth.

    import crsr
    clip = crsr.Enhance(clip, strength=0.8)

It is installed with crsr-video into the Python of VapourSynth, and needs no other plugin.
"""

from typing import Any

from crsr_video.plugins import vapoursynth

__all__ = ["Enhance"]


def Enhance(clip: Any, strength: float = 1.0, **options: Any) -> Any:
    """Enhance the faces of a clip. Everything else remains bit-identical.

    Args:
        clip: YUV, RGB or grey with 8 to 16 bits per integer sample. The properties _Matrix,
            _Range, _ChromaLocation, _FieldBased, _SARNum and _SARDen are respected.
        strength: Share of the correction, 0 to 1.
        options: model="fast" or a file, min_face=16, region="face" or "head", texture=0.75,
            device="auto", max_faces=3;
            tracks=file that ``crsr-video tracks`` wrote for the whole, uncut video; with its
            track IDs only=[1, 4] and people={2: crsr_video.PersonSettings(strength=0.5)}; and
            warm_up=8, the number of frames that are processed before the target of a jump.

    Returns:
        A clip of the same format and length.

    Raises:
        crsr_video.errors.CrsrError: The format or an option is invalid.
    """
    return vapoursynth.enhance(clip, strength=strength, **options)
