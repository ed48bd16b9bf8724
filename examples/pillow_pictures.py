"""Enhance pictures that Pillow reads: pillow_pictures.py PICTURE..."""

import sys
from pathlib import Path

from PIL import Image

import crsr_video


def main(*pictures: str) -> None:
    """Write NAME.enhanced.png beside each picture."""
    with crsr_video.Enhancer(strength=0.8) as enhancer:
        for name in pictures:
            with Image.open(name) as picture:
                enhanced = enhancer.enhance_image(picture)
            enhanced.save(Path(name).with_suffix(".enhanced.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
