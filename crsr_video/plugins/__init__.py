"""The enhancement inside other programs: the frei0r effect, FFmpeg commands, and VapourSynth.

The effect itself is written in C and is in ``plugins/frei0r``, beside the editors' descriptions of
it. A wheel contains them as data of this package.
"""
