"""Enhance frames that PyAV decodes, at their own bit depth: pyav_frames.py INPUT."""

import sys

import av

import crsr_video


def main(source: str) -> None:
    """Print how much each enhanced frame of `source` differs from the original."""
    with av.open(source) as container, crsr_video.Enhancer(live=True) as enhancer:
        for frame in container.decode(video=0):
            (enhanced,) = enhancer.push(frame)
            before = frame.to_ndarray(format="gray").astype(int)
            after = enhanced.to_ndarray(format="gray").astype(int)
            print(f"{frame.time:7.3f} s: {abs(after - before).mean():.3f} levels")


if __name__ == "__main__":
    main(*sys.argv[1:])
