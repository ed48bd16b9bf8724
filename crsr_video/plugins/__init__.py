"""What carries the enhancement into other programs: the frei0r effect, commands, VapourSynth.

The effect itself is C and lives in ``plugins/frei0r``, beside the editors' descriptions of it; a
wheel takes them along as data of this package.
"""
