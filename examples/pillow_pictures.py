"""Enhance pictures that Pillow reads: pillow_pictures.py PICTURE..."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import crsr_video


def main(*pictures: str) -> None:
    """Write NAME.enhanced.png beside each picture."""
    with crsr_video.Enhancer(live=True) as enhancer:
        for name in pictures:
            array = np.asarray(Image.open(name).convert("RGB"))
            (enhanced,) = enhancer.push(array)
            enhancer.reset()  # The next picture shows something else.
            Image.fromarray(enhanced).save(Path(name).with_suffix(".enhanced.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
